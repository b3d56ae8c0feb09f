"""Application Auto Scaling of services on the null runtime, whose clock is fast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.awscli import aws
from support.engine import Engine, container, describe, null, register, until, wait_rollout

SCALE = 600  # a minute in a tenth of a second
PATIENCE_S = 40.0
COOLDOWN_S = 36_000  # longer than a test: what is scaled to stays, however slow its tasks start
KIND = {
    "ServiceNamespace": "ecs", "ResourceId": "service/c/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}  # fmt: skip
CPU = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, "null", "--time-scale", str(SCALE))
    yield engine
    engine.shut_down()


def serve(engine: Engine, count: int = 2, **fields: Any) -> Any:
    """Run a service "web" in cluster "c"; return a client of Application Auto Scaling."""
    ecs = engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    definition = register(ecs, "web", container(portMappings=[{"containerPort": 80}]))
    ecs.create_service(
        cluster="c", serviceName="web", taskDefinition=definition, desiredCount=count, **fields
    )
    wait_rollout(ecs, "c", "web")
    return engine.client("application-autoscaling")


def scalable(scaling: Any, low: int = 1, high: int = 10, **more: Any) -> None:
    scaling.register_scalable_target(**KIND, MinCapacity=low, MaxCapacity=high, **more)


def track(scaling: Any, name: str = "cpu", target: float = 50.0, **more: Any) -> dict[str, Any]:
    spec = {"PredefinedMetricSpecification": CPU, **more}
    answer: dict[str, Any] = scaling.put_scaling_policy(
        **KIND, PolicyName=name, PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": target, **spec},
    )  # fmt: skip
    return answer


def step(scaling: Any, name: str, *steps: dict[str, Any], **more: Any) -> str:
    configuration = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": list(steps), **more}
    answer = scaling.put_scaling_policy(
        **KIND, PolicyName=name, PolicyType="StepScaling",
        StepScalingPolicyConfiguration=configuration,
    )  # fmt: skip
    return str(answer["PolicyARN"])


def load(engine: Engine, **fields: float) -> None:
    (engine.home / "load.json").write_text(json.dumps({"c/web": fields}))


def desired(engine: Engine) -> int:
    return int(describe(engine.client("ecs"), "c", "web")["desiredCount"])


def wait_desired(engine: Engine, count: int) -> None:
    until(lambda: desired(engine) == count, PATIENCE_S)


def activities(scaling: Any, **more: Any) -> list[dict[str, Any]]:
    """Return the activities, oldest first."""
    answer = scaling.describe_scaling_activities(**KIND, **more)
    found: list[dict[str, Any]] = answer["ScalingActivities"]
    return found[::-1]


def test_target_tracking_follows_the_load_up_and_down(fast: Engine) -> None:
    scaling = serve(fast)
    scalable(scaling)
    made = track(scaling, ScaleOutCooldown=COOLDOWN_S, ScaleInCooldown=COOLDOWN_S)
    load(fast, cpu=280)
    wait_desired(fast, 6)
    wait_rollout(fast.client("ecs"), "c", "web")
    load(fast, cpu=120)
    wait_desired(fast, 3)
    out, back = activities(scaling)
    [high] = [a["AlarmName"] for a in made["Alarms"] if "-AlarmHigh-" in a["AlarmName"]]
    assert out["Cause"] == f"monitor alarm {high} in state ALARM triggered policy cpu"
    assert (out["Description"], out["StatusCode"]) == ("Setting desired count to 6.", "Successful")
    assert out["StatusMessage"] == (
        "Successfully set desired count to 6. Change successfully fulfilled by ecs."
    )
    assert back["Description"] == "Setting desired count to 3."
    assert back["StartTime"] - out["StartTime"] >= timedelta(minutes=14)


def test_alarms_of_target_tracking_look_as_on_aws(fast: Engine) -> None:
    scaling, watch = serve(fast), fast.client("cloudwatch")
    scalable(scaling)
    arn = track(scaling, target=75.0)["PolicyARN"]
    policy = aws(fast, "application-autoscaling", "describe-scaling-policies",
                 "--service-namespace", "ecs")["ScalingPolicies"][0]  # fmt: skip
    assert policy["PolicyARN"] == arn
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    high, low = watch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert high["AlarmName"].startswith("TargetTracking-service/c/web-AlarmHigh-")
    assert low["AlarmName"].startswith("TargetTracking-service/c/web-AlarmLow-")
    assert (high["Threshold"], high["EvaluationPeriods"], high["Period"]) == (75, 3, 60)
    assert (low["Threshold"], low["EvaluationPeriods"], low["Period"]) == (67.5, 15, 60)
    assert high["AlarmActions"] == low["AlarmActions"] == [arn]
    track(scaling, target=40.0, DisableScaleIn=True)
    [only] = watch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert (only["AlarmName"], only["Threshold"]) == (names[0], 40)
    scaling.delete_scaling_policy(**KIND, PolicyName="cpu")
    assert watch.describe_alarms()["MetricAlarms"] == []


def test_requests_per_target_can_be_tracked(fast: Engine) -> None:
    elbv2 = fast.client("elbv2")
    balancer = elbv2.create_load_balancer(Name="b", Subnets=["subnet-1"])["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    group = elbv2.create_target_group(Name="g", Protocol="HTTP", Port=80)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    elbv2.create_listener(
        LoadBalancerArn=balancer, Port=80, Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    where = {"targetGroupArn": group, "containerName": "web", "containerPort": 80}
    scaling = serve(fast, loadBalancers=[where])
    scalable(scaling)
    label = f"{balancer.partition(':loadbalancer/')[2]}/{group.rpartition(':')[2]}"
    by_requests = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    track(
        scaling, target=100.0, PredefinedMetricSpecification=by_requests,
        ScaleOutCooldown=COOLDOWN_S,
    )  # fmt: skip
    load(fast, requests=450)
    wait_desired(fast, 5)


def test_a_metric_of_ones_own_can_be_tracked(fast: Engine) -> None:
    scaling = serve(fast)
    scalable(scaling)
    names = {"ClusterName": "c", "ServiceName": "web"}
    memory = {
        "Namespace": "AWS/ECS", "MetricName": "MemoryUtilization", "Statistic": "Maximum",
        "Dimensions": [{"Name": n, "Value": v} for n, v in names.items()],
    }  # fmt: skip
    scaling.put_scaling_policy(
        **KIND, PolicyName="memory", PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60, "CustomizedMetricSpecification": memory,
            "ScaleOutCooldown": COOLDOWN_S},
    )  # fmt: skip
    load(fast, memory=85)
    wait_desired(fast, 3)


def test_step_policy_acts_when_its_alarm_rings(fast: Engine) -> None:
    scaling, watch = serve(fast), fast.client("cloudwatch")
    scalable(scaling, high=7)
    arn = step(
        scaling, "out",
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 4},
        Cooldown=COOLDOWN_S,
    )  # fmt: skip
    watch_cpu(fast, arn)
    load(fast, cpu=150)
    wait_desired(fast, 6)
    assert activities(scaling)[0]["Cause"] == (
        "monitor alarm busy in state ALARM triggered policy out"
    )
    [policy] = scaling.describe_scaling_policies(**KIND)["ScalingPolicies"]
    assert [alarm["AlarmName"] for alarm in policy["Alarms"]] == ["busy"]
    items = watch.describe_alarm_history(HistoryItemType="Action")["AlarmHistoryItems"]
    assert items[0]["HistorySummary"] == f"Successfully executed action {arn}"


def test_larger_scale_out_goes_further_while_one_cools_down(fast: Engine) -> None:
    scaling = serve(fast)
    scalable(scaling, high=7)
    small = {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 1}
    large = {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 9}
    arn = step(scaling, "out", small, large, Cooldown=COOLDOWN_S)
    watch_cpu(fast, arn)
    load(fast, cpu=120)  # 60 percent in each of two
    wait_desired(fast, 3)
    load(fast, cpu=300)
    wait_desired(fast, 7)
    assert len(activities(scaling)) == 2


def watch_cpu(engine: Engine, action: str) -> None:
    names = {"ClusterName": "c", "ServiceName": "web"}
    engine.client("cloudwatch").put_metric_alarm(
        AlarmName="busy", Namespace="AWS/ECS", MetricName="CPUUtilization", Statistic="Average",
        Dimensions=[{"Name": n, "Value": v} for n, v in names.items()], Period=60,
        EvaluationPeriods=1, Threshold=50, ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[action],
    )  # fmt: skip


def test_what_could_not_be_scaled_is_told_with_its_reason(fast: Engine) -> None:
    scaling = serve(fast, 3)
    scalable(scaling, high=3)
    watch_cpu(fast, step(scaling, "out", {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}))
    load(fast, cpu=300)

    def told() -> list[dict[str, Any]]:
        return activities(scaling, IncludeNotScaledActivities=True)

    [activity] = until(told, PATIENCE_S)
    assert activity["NotScaledReasons"] == [{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3}]
    assert activity["StatusCode"] == "Failed"
    assert activity["Description"] == "Attempting to scale due to alarm triggered"
    assert activities(scaling) == []
    assert desired(fast) == 3


def test_nothing_scales_in_while_a_deployment_is_in_progress(fast: Engine) -> None:
    scaling, ecs = serve(fast, 4), fast.client("ecs")
    scalable(scaling)
    slow = register(ecs, "web", container(dockerLabels=null(start_ms=3_600_000)))
    ecs.update_service(cluster="c", service="web", taskDefinition=slow)
    scale_in = {"MetricIntervalUpperBound": 0, "ScalingAdjustment": -2}
    watch_cpu(fast, step(scaling, "in", scale_in))
    fast.client("cloudwatch").set_alarm_state(
        AlarmName="busy", StateValue="ALARM", StateReason="a drill"
    )
    [activity] = activities(scaling, IncludeNotScaledActivities=True)
    assert activity["NotScaledReasons"] == [{"Code": "TargetServicePutResourceAsUnscalable"}]
    assert desired(fast) == 4


def test_suspended_scaling_does_nothing(fast: Engine) -> None:
    scaling = serve(fast)
    suspended = {"DynamicScalingOutSuspended": True}
    scalable(scaling, SuspendedState=suspended)
    watch_cpu(fast, step(scaling, "out", {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}))
    watch = fast.client("cloudwatch")
    watch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="a drill")
    assert (desired(fast), activities(scaling, IncludeNotScaledActivities=True)) == (2, [])
    [target] = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": True,
        "ScheduledScalingSuspended": False,
    }  # fmt: skip


def test_service_scales_in_only_when_all_policies_are_ready(fast: Engine) -> None:
    scaling = serve(fast, 6)
    scalable(scaling)
    memory = {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}
    quick = {"ScaleInCooldown": 0}
    track(scaling, "cpu", 50.0, **quick)
    track(scaling, "memory", 50.0, PredefinedMetricSpecification=memory, **quick)
    load(fast, cpu=60, memory=48)
    watch = fast.client("cloudwatch")

    def ringing() -> list[str]:
        found = watch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
        return [alarm["MetricName"] for alarm in found]

    until(lambda: ringing() == ["CPUUtilization"], PATIENCE_S)
    assert desired(fast) == 6
    load(fast, cpu=60, memory=20)
    until(lambda: activities(scaling), PATIENCE_S)
    # What memory wants; CPU would go down to 2. Both go on from there, so it is not so for long.
    assert activities(scaling)[0]["Description"] == "Setting desired count to 3."


def test_bounds_are_held_as_they_are_set(fast: Engine) -> None:
    scaling = serve(fast, 2)
    scalable(scaling, low=4)
    assert desired(fast) == 4
    assert activities(scaling)[-1]["Cause"] == "minimum capacity was set to 4"
    scalable(scaling, low=0, high=1)
    assert desired(fast) == 1
    assert activities(scaling)[-1]["Cause"] == "maximum capacity was set to 1"
    assert activities(scaling)[0]["StatusCode"] in ("Overridden", "Successful")


def test_scheduled_action_sets_bounds_once_at_its_time(fast: Engine) -> None:
    scaling = serve(fast, 2)
    scalable(scaling)
    scaling.put_scheduled_action(
        **KIND, ScheduledActionName="morning", Schedule="rate(5 minutes)",
        ScalableTargetAction={"MinCapacity": 5, "MaxCapacity": 8},
    )  # fmt: skip
    wait_desired(fast, 5)
    bounds, count = activities(scaling)[:2]
    assert bounds["Description"] == "Setting min capacity to 5 and max capacity to 8"
    assert bounds["Cause"] == "scheduled action name morning was triggered"
    assert count["Cause"] == "minimum capacity was set to 5"
    [target] = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 8)
    scaling.delete_scheduled_action(**KIND, ScheduledActionName="morning")
    soon = target["CreationTime"].astimezone(UTC) + timedelta(hours=3)
    scaling.put_scheduled_action(
        **KIND, ScheduledActionName="once", Schedule=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        ScalableTargetAction={"MinCapacity": 7},
    )  # fmt: skip
    wait_desired(fast, 7)
    until(
        lambda: not scaling.describe_scheduled_actions(ServiceNamespace="ecs")["ScheduledActions"]
    )


def test_all_of_it_survives_kill(own_engine: Engine) -> None:
    scaling = serve(own_engine)
    scalable(scaling, Tags={"team": "web"})
    track(scaling)
    step(scaling, "out", {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1})
    scaling.put_scheduled_action(
        **KIND, ScheduledActionName="a", Schedule="cron(0 8 ? * MON-FRI *)",
        Timezone="Europe/Berlin", ScalableTargetAction={"MinCapacity": 2},
        StartTime=datetime(2030, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    scalable(scaling, low=3)

    def seen(scaling: Any) -> list[Any]:
        asked = {"ServiceNamespace": "ecs"}
        until(lambda: activities(scaling)[0]["StatusCode"] == "Successful")
        return [
            scaling.describe_scalable_targets(**asked)["ScalableTargets"],
            scaling.describe_scaling_policies(**asked)["ScalingPolicies"],
            scaling.describe_scheduled_actions(**asked)["ScheduledActions"],
            scaling.describe_scaling_activities(**asked)["ScalingActivities"],
        ]

    before = seen(scaling)
    assert [len(part) for part in before] == [1, 2, 1, 1]
    own_engine.kill()
    own_engine.start()
    scaling = own_engine.client("application-autoscaling")
    assert seen(scaling) == before
    arn = before[0][0]["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "web"}
    scaling.deregister_scalable_target(**KIND)
    asked = {"ServiceNamespace": "ecs"}
    assert scaling.describe_scaling_policies(**asked)["ScalingPolicies"] == []
    assert scaling.describe_scheduled_actions(**asked)["ScheduledActions"] == []
    assert own_engine.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


STEP = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}


@pytest.mark.parametrize(
    ("call", "wrong", "code"),
    [
        ("register_scalable_target", {"MinCapacity": 3, "MaxCapacity": 1}, "ValidationException"),
        ("register_scalable_target", {"ResourceId": "service/c/nobody", "MinCapacity": 1,
         "MaxCapacity": 2}, "ValidationException"),
        ("register_scalable_target", {"ServiceNamespace": "dynamodb", "ResourceId": "table/t",
         "ScalableDimension": "dynamodb:table:ReadCapacityUnits"}, "ValidationException"),
        ("deregister_scalable_target", {"ResourceId": "service/c/nobody"},
         "ObjectNotFoundException"),
        ("delete_scaling_policy", {"PolicyName": "nobody"}, "ObjectNotFoundException"),
        ("delete_scheduled_action", {"ScheduledActionName": "nobody"}, "ObjectNotFoundException"),
        ("put_scheduled_action", {"ScheduledActionName": "a", "Schedule": "rate(0 minutes)",
         "ScalableTargetAction": {"MinCapacity": 1}}, "ValidationException"),
        ("put_scheduled_action", {"ScheduledActionName": "a", "Schedule": "rate(1 minute)"},
         "ValidationException"),
        ("put_scaling_policy", {"PolicyName": "p"}, "ValidationException"),
        ("put_scaling_policy", {"PolicyName": "p", "PolicyType": "PredictiveScaling"},
         "ValidationException"),
        ("put_scaling_policy", {"PolicyName": "p", "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity", "StepAdjustments": [STEP, STEP]}},
         "ValidationException"),
        ("put_scaling_policy", {"PolicyName": "p", "PolicyType": "TargetTrackingScaling",
         "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 1,
         "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget",
         "ResourceLabel": "app/x/1/targetgroup/y/2"}}}, "ValidationException"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    shared: Any, call: str, wrong: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(shared, call)(**{**KIND, **wrong})
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an engine with one scalable service."""
    engine = Engine(tmp_path_factory.mktemp("shared"))
    scaling = serve(engine)
    scalable(scaling)
    yield scaling
    scaling.close()
    engine.shut_down()


def test_targets_of_other_services_are_none(shared: Any) -> None:
    assert shared.describe_scalable_targets(ServiceNamespace="rds")["ScalableTargets"] == []
