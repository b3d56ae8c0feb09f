"""Clusters, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import register


def test_created_cluster_is_listed_and_described(ecs: Any, cluster: str) -> None:
    found = ecs.describe_clusters(clusters=[cluster], include=["TAGS", "SETTINGS"])["clusters"][0]
    assert found["clusterArn"] in ecs.list_clusters()["clusterArns"]
    assert (found["status"], found["tags"], found["registeredContainerInstancesCount"]) == (
        "ACTIVE",
        [],
        1,
    )


def test_creating_twice_gives_the_same_cluster(ecs: Any, cluster: str) -> None:
    again = ecs.create_cluster(clusterName=cluster)["cluster"]
    assert again["clusterName"] == cluster


def test_missing_cluster_is_a_failure_of_describe_and_an_error_elsewhere(ecs: Any) -> None:
    failures = ecs.describe_clusters(clusters=["nowhere"])["failures"]
    assert [f["reason"] for f in failures] == ["MISSING"]
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_services(cluster="nowhere")


def test_deleted_cluster_is_inactive_and_not_listed(ecs: Any, cluster: str) -> None:
    arn = ecs.delete_cluster(cluster=cluster)["cluster"]["clusterArn"]
    assert arn not in ecs.list_clusters()["clusterArns"]
    assert ecs.describe_clusters(clusters=[cluster])["clusters"][0]["status"] == "INACTIVE"


def test_cluster_with_a_service_cannot_be_deleted(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    with pytest.raises(ClientError, match="ClusterContainsServicesException"):
        ecs.delete_cluster(cluster=cluster)


def test_the_container_instance_is_described(ecs: Any, cluster: str) -> None:
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
    instance = found["containerInstances"][0]
    assert (instance["status"], instance["agentConnected"]) == ("ACTIVE", True)


def test_tags_of_a_cluster_come_and_go(ecs: Any, cluster: str) -> None:
    arn = ecs.describe_clusters(clusters=[cluster])["clusters"][0]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": ""}]
