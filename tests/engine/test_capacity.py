"""Capacity providers and the strategies that name them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import container, describe, register, wait_rollout

GROUP = "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:x:autoScalingGroupName/web"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


@pytest.fixture
def provider(ecs: Any, family: str) -> str:
    """A capacity provider of one test alone."""
    name = f"group-of-{family}"
    ecs.create_capacity_provider(name=name, autoScalingGroupProvider={"autoScalingGroupArn": GROUP})
    return name


def offer(ecs: Any, cluster: str, *names: str, default: Any = ()) -> None:
    ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=names, defaultCapacityProviderStrategy=default
    )


def item(name: str, weight: int, base: int = 0) -> dict[str, Any]:
    return {"capacityProvider": name, "weight": weight, "base": base}


def used(tasks: list[dict[str, Any]]) -> Counter[str]:
    return Counter(task["capacityProviderName"] for task in tasks)


def test_provider_is_made_with_defaults_changed_and_deleted(ecs: Any, provider: str) -> None:
    def look() -> dict[str, Any]:
        answer = ecs.describe_capacity_providers(capacityProviders=[provider])
        found: dict[str, Any] = answer["capacityProviders"][0]
        return found

    group = look()["autoScalingGroupProvider"]
    assert (group["managedScaling"]["status"], group["managedDraining"]) == ("DISABLED", "ENABLED")
    ecs.update_capacity_provider(
        name=provider, autoScalingGroupProvider={"managedScaling": {"targetCapacity": 80}}
    )
    group = look()["autoScalingGroupProvider"]
    assert (group["managedScaling"]["targetCapacity"], group["autoScalingGroupArn"]) == (80, GROUP)
    ecs.delete_capacity_provider(capacityProvider=provider)
    assert (look()["status"], look()["updateStatus"]) == ("INACTIVE", "DELETE_COMPLETE")
    with pytest.raises(ClientError, match="is not active"):
        ecs.delete_capacity_provider(capacityProvider=provider)


@pytest.mark.parametrize("name", ["aws-mine", "ECSmine", "fargate1", "a b", ""])
def test_names_that_aws_keeps_are_refused(ecs: Any, name: str) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.create_capacity_provider(
            name=name, autoScalingGroupProvider={"autoScalingGroupArn": GROUP}
        )


def test_provider_of_a_cluster_cannot_be_deleted(ecs: Any, cluster: str, provider: str) -> None:
    offer(ecs, cluster, provider)
    with pytest.raises(ClientError, match=f"associated with cluster: {cluster}"):
        ecs.delete_capacity_provider(capacityProvider=provider)
    offer(ecs, cluster)
    ecs.delete_capacity_provider(capacityProvider=provider)


def test_all_providers_are_listed_page_by_page(ecs: Any, provider: str) -> None:
    names, token = [], None
    while True:
        answer = ecs.describe_capacity_providers(
            maxResults=1, **({"nextToken": token} if token else {})
        )
        names += [p["name"] for p in answer["capacityProviders"]]
        if not (token := answer.get("nextToken")):
            break
    assert {"FARGATE", "FARGATE_SPOT", provider} <= set(names)


def test_strategy_must_be_of_the_clusters_providers(
    ecs: Any, cluster: str, family: str, provider: str
) -> None:
    register(ecs, family)
    with pytest.raises(ClientError, match="not associated with the cluster"):
        ecs.run_task(
            cluster=cluster, taskDefinition=family, capacityProviderStrategy=[item(provider, 1)]
        )
    with pytest.raises(ClientError, match="was not found"):
        offer(ecs, cluster, "nobody")


def test_tasks_are_shared_out_by_base_and_weight(ecs: Any, cluster: str, family: str) -> None:
    offer(ecs, cluster, "FARGATE", "FARGATE_SPOT")
    _register_awsvpc(ecs, family)
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=family,
        count=10,
        networkConfiguration=NETWORK,
        capacityProviderStrategy=[item("FARGATE", 1, base=2), item("FARGATE_SPOT", 3)],
    )
    assert used(answer["tasks"]) == {"FARGATE": 4, "FARGATE_SPOT": 6}
    assert {task["launchType"] for task in answer["tasks"]} == {"FARGATE"}


def test_service_keeps_its_shares_as_it_scales(ecs: Any, cluster: str, family: str) -> None:
    offer(
        ecs,
        cluster,
        "FARGATE",
        "FARGATE_SPOT",
        default=[item("FARGATE", 1, base=1), item("FARGATE_SPOT", 1)],
    )
    _register_awsvpc(ecs, family)
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        networkConfiguration=NETWORK,
    )
    wait_rollout(ecs, cluster, "web")
    ecs.update_service(cluster=cluster, service="web", desiredCount=5)
    service = wait_rollout(ecs, cluster, "web")
    arns = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
    assert used(tasks) == {"FARGATE": 3, "FARGATE_SPOT": 2}
    assert "launchType" not in service
    assert len(service["capacityProviderStrategy"]) == 2


def test_tasks_of_an_auto_scaling_group_run_on_instances(
    ecs: Any, cluster: str, family: str, provider: str
) -> None:
    offer(ecs, cluster, provider)
    register(ecs, family)
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=2,
        capacityProviderStrategy=[item(provider, 1)],
    )
    wait_rollout(ecs, cluster, "web")
    arns = ecs.list_tasks(cluster=cluster, launchType="EC2")["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
    assert used(tasks) == {provider: 2}
    assert all(task["containerInstanceArn"] for task in tasks)
    assert "platformVersion" not in describe(ecs, cluster, "web")


@pytest.mark.parametrize(
    "strategy",
    [
        [item("FARGATE", 0), item("FARGATE_SPOT", 0)],
        [item("FARGATE", 1, 1), item("FARGATE_SPOT", 1, 1)],
        [item("FARGATE", 1001)],
        [item("FARGATE", 1), item("FARGATE", 1)],
    ],
)
def test_impossible_strategies_are_refused(ecs: Any, cluster: str, strategy: Any) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        offer(ecs, cluster, "FARGATE", "FARGATE_SPOT", default=strategy)


def test_launch_type_and_strategy_exclude_each_other(ecs: Any, cluster: str, family: str) -> None:
    offer(ecs, cluster, "FARGATE")
    _register_awsvpc(ecs, family)
    with pytest.raises(ClientError, match="Specifying both a launch type"):
        ecs.run_task(
            cluster=cluster,
            taskDefinition=family,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            capacityProviderStrategy=[item("FARGATE", 1)],
        )


def _register_awsvpc(ecs: Any, family: str) -> None:
    register(ecs, family, container(), networkMode="awsvpc", cpu="256", memory="512")
