"""Bake time and early success of rolling deployments, and what UpdateService deploys, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.awscli import aws
from support.engine import Engine, container, describe, null, register, until, wait_rollout
from support.shifting import deployment_of, wait_for

ERRORS: dict[str, Any] = {
    "AlarmName": "errors", "MetricName": "errors", "Namespace": "web", "Period": 300,
    "EvaluationPeriods": 2, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
    "Statistic": "Sum",
}  # fmt: skip
FULL = {"maximumPercent": 100, "minimumHealthyPercent": 0}
WATCHED = {"alarms": {"enable": True, "rollback": True, "alarmNames": ["errors"]}}


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose minutes are seconds."""
    engine = Engine(tmp_path, "null", "--time-scale", "60")
    engine.client("ecs").create_cluster(clusterName="c")
    yield engine
    engine.shut_down()


def make(ecs: Any, cluster: str, family: str, **fields: Any) -> str:
    """Make a service of one task; return its first service deployment."""
    register(ecs, family)
    answer = ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1, **fields
    )
    return str(answer["service"]["currentServiceDeployment"])


def offer_provider(ecs: Any, cluster: str) -> None:
    """Have the capacity provider `group`, which all tests share, in a cluster."""
    found = ecs.describe_capacity_providers(capacityProviders=["group"])["capacityProviders"]
    if not found:
        group = "arn:aws:autoscaling:us-east-1:0:autoScalingGroup:1:autoScalingGroupName/group"
        ecs.create_capacity_provider(
            name="group", autoScalingGroupProvider={"autoScalingGroupArn": group}
        )
    ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=["group"], defaultCapacityProviderStrategy=[]
    )


def minutes_of(deployment: dict[str, Any]) -> float:
    took = deployment["finishedAt"] - deployment["startedAt"]
    return float(took.total_seconds() / 60)


def test_rolling_deployment_bakes_also_when_the_engine_is_killed(fast: Engine) -> None:
    ecs = fast.client("ecs")
    configuration = {"deploymentConfiguration": {"bakeTimeInMinutes": 10}}
    arn = make(ecs, "c", "web", **configuration)
    until(lambda: describe(ecs, "c", "web")["runningCount"] == 1)
    fast.kill()
    fast.start()
    ecs = fast.client("ecs")
    assert minutes_of(wait_for(ecs, arn, status="SUCCESSFUL")) >= 10


def test_alarms_of_a_rolling_deployment_are_watched_for_as_long_as_they_look_back(
    fast: Engine,
) -> None:
    ecs, watch = fast.client("ecs"), fast.client("cloudwatch")
    watch.put_metric_alarm(**{**ERRORS, "TreatMissingData": "ignore"})
    arn = make(ecs, "c", "web", deploymentConfiguration=WATCHED)
    assert minutes_of(wait_for(ecs, arn, status="SUCCESSFUL")) >= 10
    watch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="test")
    second = register(ecs, "web", container(dockerLabels=null()))
    update = {"cluster": "c", "service": "web", "taskDefinition": second}
    arn = ecs.update_service(**update)["service"]["currentServiceDeployment"]
    until(lambda: deployment_of(ecs, arn).get("alarms", {}).get("status") == "MONITORING")
    until(lambda: len(describe(ecs, "c", "web")["deployments"]) == 1)
    watch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
    found = wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert found["alarms"]["triggeredAlarmNames"] == ["errors"]


def test_early_success_leaves_the_slow_tasks_for_later(ecs: Any, cluster: str, family: str) -> None:
    early = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"}
    configuration = {"minimumHealthyPercent": 50, "earlySuccessCriteria": early}
    make(ecs, cluster, family, deploymentConfiguration=configuration)
    shown = describe(ecs, cluster, "web")["deploymentConfiguration"]
    assert shown["earlySuccessCriteria"] == early
    wait_rollout(ecs, cluster, "web")
    arn = ecs.update_service(cluster=cluster, service="web", forceNewDeployment=True)
    wait_for(ecs, arn["service"]["currentServiceDeployment"], status="SUCCESSFUL")
    wait_rollout(ecs, cluster, "web")


@pytest.mark.parametrize(
    ("criteria", "problem"),
    [
        ({"enable": True}, "healthyPercent is required"),
        ({"enable": True, "healthyPercent": 100}, "sourceServiceRevisionCleanup is required"),
        (
            {"enable": True, "healthyPercent": 60, "sourceServiceRevisionCleanup": "BLOCKING"},
            "greater than or equal to minimumHealthyPercent",
        ),
    ],
)
def test_early_success_that_cannot_be_is_refused(
    ecs: Any, cluster: str, family: str, criteria: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{problem}"):
        make(ecs, cluster, family, deploymentConfiguration={"earlySuccessCriteria": criteria})


DEPLOYS = {
    "taskDefinition": True,
    "forceNewDeployment": True,
    "serviceConnectConfiguration": True,
    "serviceRegistries": True,
    "desiredCount": False,
    "deploymentConfiguration": False,
    "capacityProviderStrategy": False,
    "placementStrategy": False,
    "placementConstraints": False,
    "healthCheckGracePeriodSeconds": False,
    "enableECSManagedTags": False,
    "propagateTags": False,
    "availabilityZoneRebalancing": False,
}


@pytest.mark.parametrize("name", DEPLOYS)
def test_update_begins_a_deployment_where_aws_says_so(
    engine: Engine, ecs: Any, cluster: str, family: str, name: str
) -> None:
    """By the aws command line; which parameters do is told by the API's own documentation."""
    make(ecs, cluster, family)
    wait_rollout(ecs, cluster, "web")
    offer_provider(ecs, cluster)
    values = {
        "taskDefinition": ["--task-definition", register(ecs, family)],
        "forceNewDeployment": ["--force-new-deployment"],
        "serviceConnectConfiguration": ["--service-connect-configuration", "enabled=true"],
        "serviceRegistries": ["--service-registries", "registryArn=arn:aws:sd:::service/srv-1"],
        "desiredCount": ["--desired-count", "2"],
        "deploymentConfiguration": ["--deployment-configuration", "maximumPercent=150"],
        "capacityProviderStrategy": [
            "--capacity-provider-strategy", "capacityProvider=group,weight=1"
        ],
        "placementStrategy": ["--placement-strategy", "type=random"],
        "placementConstraints": ["--placement-constraints", "type=distinctInstance"],
        "healthCheckGracePeriodSeconds": ["--health-check-grace-period-seconds", "7"],
        "enableECSManagedTags": ["--enable-ecs-managed-tags"],
        "propagateTags": ["--propagate-tags", "SERVICE"],
        "availabilityZoneRebalancing": ["--availability-zone-rebalancing", "DISABLED"],
    }  # fmt: skip
    before = describe(ecs, cluster, "web")
    words = ["ecs", "update-service", "--cluster", cluster, "--service", "web"]
    after = aws(engine, *words, *values[name])["service"]
    begun = after["currentServiceDeployment"] != before["currentServiceDeployment"]
    assert begun is DEPLOYS[name]


def test_new_strategy_is_shown_at_once_and_used_by_the_next_deployment(
    ecs: Any, cluster: str, family: str
) -> None:
    offer_provider(ecs, cluster)
    make(ecs, cluster, family, launchType="EC2")
    wait_rollout(ecs, cluster, "web")
    names = {"cluster": cluster, "service": "web"}
    strategy = [{"capacityProvider": "group", "weight": 1, "base": 0}]
    shown = ecs.update_service(**names, capacityProviderStrategy=strategy)["service"]
    assert shown["capacityProviderStrategy"] == strategy
    assert "launchType" not in shown
    assert shown["deployments"][0]["launchType"] == "EC2"
    ecs.update_service(**names, forceNewDeployment=True)
    found = wait_rollout(ecs, cluster, "web")
    assert found["deployments"][0]["capacityProviderStrategy"] == strategy
    shown = ecs.update_service(**names, capacityProviderStrategy=[])["service"]
    assert shown["launchType"] == "EC2"
    assert "capacityProviderStrategy" not in shown


def test_controller_that_is_not_here_is_refused(ecs: Any, cluster: str, family: str) -> None:
    with pytest.raises(ClientError, match=r"UnsupportedFeatureException.*CODE_DEPLOY"):
        make(ecs, cluster, family, deploymentController={"type": "CODE_DEPLOY"})
    make(ecs, cluster, family)
    names = {"cluster": cluster, "service": "web"}
    ecs.update_service(**names, deploymentController={"type": "ECS"})
    with pytest.raises(ClientError, match=r"InvalidParameterException.*cannot be changed"):
        ecs.update_service(**names, deploymentController={"type": "EXTERNAL"})


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "ENABLED"),
        ({"deploymentConfiguration": FULL}, "DISABLED"),
        ({"availabilityZoneRebalancing": "DISABLED"}, "DISABLED"),
    ],
)
def test_zones_are_rebalanced_unless_that_cannot_be(
    ecs: Any, cluster: str, family: str, fields: dict[str, Any], shown: str
) -> None:
    make(ecs, cluster, family, **fields)
    assert describe(ecs, cluster, "web")["availabilityZoneRebalancing"] == shown
