"""Application Auto Scaling: scaling policies, and the alarms that drive them."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator

from kaiun.engine.autoscaling.activities import DIMENSION
from kaiun.engine.autoscaling.policies import step_policy
from kaiun.engine.codec import encode
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.metric_alarms import delete_alarm, put_alarm
from kaiun.engine.operations.metrics import check_queries
from kaiun.engine.operations.scalable_targets import (
    find_target,
    forget_policy,
    invalid,
    is_kind,
    listed,
    not_found,
)
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling import steps, tracking
from kaiun.scaling.alarm import Rule
from kaiun.scaling.decision import Memory
from kaiun.scaling.statistics import is_statistic

MAX_POLICIES = 50
MAX_STEPS = 20
_KINDS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
}
_PREDEFINED = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
_BY_REQUESTS = "ALBRequestCountPerTarget"
_SCALED = ("CustomizedMetricSpecification", "PredefinedMetricSpecification")


@operation("application-autoscaling", "PutScalingPolicy")
def put_scaling_policy(world: World, params: Params) -> Params:
    find_target(world, params)
    old = _policy(world, params)
    kind: str = params.get("PolicyType") or (old["PolicyType"] if old else "StepScaling")
    if old is not None and old["PolicyType"] != kind:
        raise invalid("The type of a scaling policy cannot be changed.")
    configuration = _checked(world, kind, params)
    if old is None and _count(world, params) >= MAX_POLICIES:
        text = f"A scalable target has {MAX_POLICIES} policies at most."
        raise ApiError("LimitExceededException", text)
    policy = {
        **(old or _new(world, params, kind)),
        _KINDS[kind]: configuration,
    }
    if old is not None:
        policy["_"]["memory"] = encode(Memory())
    if kind == "TargetTrackingScaling":
        policy["Alarms"] = _put_alarms(world, policy)
    world.scaling_policies[policy["PolicyARN"]] = policy
    return {"PolicyARN": policy["PolicyARN"], "Alarms": _alarms_of(world, policy)}


def _new(world: World, params: Params, kind: str) -> Doc:
    resource, name = params["ResourceId"], params["PolicyName"]
    path = f"scalingPolicy:{uuid.uuid4()}:resource/ecs/{resource}:policyName/{name}"
    return {
        "PolicyARN": world.arn(path, "autoscaling"),
        "PolicyName": name,
        **DIMENSION,
        "ResourceId": resource,
        "PolicyType": kind,
        "Alarms": [],
        "CreationTime": world.now(),
        "_": {"memory": encode(Memory())},
    }


def _policy(world: World, params: Params) -> Doc | None:
    return next(
        (
            policy
            for policy in world.scaling_policies.values()
            if (policy["ResourceId"], policy["PolicyName"])
            == (params["ResourceId"], params["PolicyName"])
        ),
        None,
    )


def _count(world: World, params: Params) -> int:
    own = (p["ResourceId"] == params["ResourceId"] for p in world.scaling_policies.values())
    return sum(own)


def _checked(world: World, kind: str, params: Params) -> Doc:
    """Return the configuration of a policy's kind. Raises ValidationException."""
    if kind not in _KINDS:
        raise invalid(f"Policies of type {kind} are not supported for ECS services here.")
    given = [name for name in _KINDS.values() if name in params]
    if given != [_KINDS[kind]]:
        raise invalid(f"A policy of type {kind} needs {_KINDS[kind]}, and nothing else.")
    configuration: Doc = params[_KINDS[kind]]
    found = _step_problems if kind == "StepScaling" else _tracking_problems
    for problem in found(world, configuration):
        raise invalid(problem)
    return configuration


def _step_problems(_world: World, configuration: Doc) -> Iterator[str]:
    adjustments = configuration.get("StepAdjustments", ())
    if "AdjustmentType" not in configuration:
        yield "AdjustmentType is required for a step scaling policy"
    if not 1 <= len(adjustments) <= MAX_STEPS:
        yield f"A step scaling policy has 1 to {MAX_STEPS} step adjustments"
    if configuration.get("Cooldown", 0) < 0:
        yield "Cooldown must not be below 0"
    is_percent = configuration.get("AdjustmentType") == "PercentChangeInCapacity"
    if "MinAdjustmentMagnitude" in configuration and not is_percent:
        yield "MinAdjustmentMagnitude is for PercentChangeInCapacity only"
    if configuration.get("MinAdjustmentMagnitude", 1) < 1:
        yield "MinAdjustmentMagnitude must be above 0"
    bounds = ("MetricIntervalLowerBound", "MetricIntervalUpperBound")
    if any(not math.isfinite(step.get(name, 0.0)) for step in adjustments for name in bounds):
        yield "the bounds of a step must be numbers"
    if any(all(name not in step for name in bounds) for step in adjustments):
        yield "a step has a lower bound, an upper bound or both"
    policy = step_policy(configuration)
    is_exact = configuration["AdjustmentType"] == "ExactCapacity"
    if is_exact and any(step.amount < 0 for step in policy.steps):
        yield "ScalingAdjustment must not be below 0 for ExactCapacity"
    if problem := steps.problem_of(policy.steps):
        yield problem


def _tracking_problems(world: World, configuration: Doc) -> Iterator[str]:
    if not 0 < configuration["TargetValue"] < 1e100:
        yield "TargetValue must be above 0"
    if any(configuration.get(name, 0) < 0 for name in ("ScaleInCooldown", "ScaleOutCooldown")):
        yield "Cooldowns must not be below 0"
    if sum(name in configuration for name in _SCALED) != 1:
        yield "Exactly one of a predefined and a customized metric specification is required"
    if predefined := configuration.get("PredefinedMetricSpecification"):
        yield from _predefined_problems(world, predefined)
    else:
        yield from _customized_problems(configuration["CustomizedMetricSpecification"])


def _predefined_problems(world: World, predefined: Doc) -> Iterator[str]:
    kind, label = predefined["PredefinedMetricType"], predefined.get("ResourceLabel")
    if kind not in (*_PREDEFINED, _BY_REQUESTS):
        yield f"{kind} is not supported for ECS services here"
    if (kind == _BY_REQUESTS) != (label is not None):
        yield f"ResourceLabel goes with {_BY_REQUESTS}, and only with it"
    if label is not None and not _is_label(world, label):
        yield (
            f"The resource label {label[:200]} does not name a load balancer and one of its target "
            "groups: app/NAME/ID/targetgroup/NAME/ID"
        )


def _is_label(world: World, label: str) -> bool:
    return any(
        label == f"{_tail(balancer, ':loadbalancer/')}/{_tail(group['TargetGroupArn'], ':')}"
        for group in world.target_groups.values()
        for balancer in group["LoadBalancerArns"]
    )


def _tail(arn: str, mark: str) -> str:
    return arn.rpartition(mark)[2]


def _customized_problems(customized: Doc) -> Iterator[str]:
    if queries := customized.get("Metrics"):
        if len(customized) > 1:
            yield "Metrics stands for all that names a metric"
        try:
            check_queries(_queries(queries))
        except ApiError as problem:
            yield problem.message
        if sum(query.get("ReturnData", True) for query in queries) != 1:
            yield "Exactly one of the metrics has to return data"
        return
    for name in ("MetricName", "Namespace", "Statistic"):
        if not customized.get(name):
            yield f"{name} is required for a customized metric"
    if not is_statistic(customized["Statistic"]):
        yield f"{customized['Statistic']} is not a statistic"


def _queries(queries: list[Doc]) -> list[Doc]:
    """Return the queries as CloudWatch has them: these have no period, it is a minute."""
    return [
        {**query, "MetricStat": {**query["MetricStat"], "Period": 60}}
        if "MetricStat" in query
        else query
        for query in queries
    ]


def _put_alarms(world: World, policy: Doc) -> list[Doc]:
    """Make the alarms of a target tracking policy, or change them."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    known = {alarm["AlarmName"].split("-Alarm")[1][:3]: alarm for alarm in policy["Alarms"]}
    rules = {"High": tracking.high_rule(configuration["TargetValue"])}
    if not configuration.get("DisableScaleIn"):
        rules["Low"] = tracking.low_rule(configuration["TargetValue"])
    made = []
    for side, rule in rules.items():
        prefix = f"TargetTracking-{policy['ResourceId']}-Alarm{side}-"
        old = known.pop(side[:3], None)
        name = old["AlarmName"] if old else f"{prefix}{uuid.uuid4()}"
        alarm = put_alarm(world, _alarm(policy, name, rule))
        made.append({"AlarmName": name, "AlarmARN": alarm["AlarmArn"]})
    for alarm in known.values():
        delete_alarm(world, alarm["AlarmName"])
    return made


def _alarm(policy: Doc, name: str, rule: Rule) -> Params:
    arn = policy["PolicyARN"]
    return {
        "AlarmName": name,
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {arn}.",
        "ActionsEnabled": True,
        "AlarmActions": [arn],
        "ComparisonOperator": rule.comparison.value,
        "Threshold": rule.threshold,
        "EvaluationPeriods": rule.periods,
        **_watched(policy),
    }


def _watched(policy: Doc) -> Params:
    """Return what names the metric of a policy in an alarm."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    if predefined := configuration.get("PredefinedMetricSpecification"):
        return {"Period": 60, **_predefined(predefined, policy["ResourceId"])}
    customized = configuration["CustomizedMetricSpecification"]
    if queries := customized.get("Metrics"):
        return {"Metrics": _queries(queries)}
    names = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
    return {"Period": 60, **{name: customized[name] for name in names if name in customized}}


def _predefined(predefined: Doc, resource: str) -> Params:
    kind = predefined["PredefinedMetricType"]
    if kind == _BY_REQUESTS:
        balancer, _, group = predefined["ResourceLabel"].partition("/targetgroup/")
        values = {"LoadBalancer": balancer, "TargetGroup": f"targetgroup/{group}"}
        own = {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCountPerTarget"}
        return {**own, "Statistic": "Sum", "Dimensions": _dimensions(values)}
    _, cluster, service = resource.split("/")
    return {
        "Namespace": "AWS/ECS",
        "MetricName": _PREDEFINED[kind],
        "Statistic": "Average",
        "Dimensions": _dimensions({"ClusterName": cluster, "ServiceName": service}),
    }


def _dimensions(values: dict[str, str]) -> list[Doc]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


@operation("application-autoscaling", "DescribeScalingPolicies")
def describe_scaling_policies(world: World, params: Params) -> Params:
    names = params.get("PolicyNames")
    found = [
        {**shown(policy), "Alarms": _alarms_of(world, policy)}
        for policy in world.scaling_policies.values()
        if is_kind(params)
        and params.get("ResourceId") in (None, policy["ResourceId"])
        and (not names or policy["PolicyName"] in names)
    ]
    return listed("ScalingPolicies", found, params)


def _alarms_of(world: World, policy: Doc) -> list[Doc]:
    """Return the alarms that have the policy as an action."""
    return [
        {"AlarmName": alarm["AlarmName"], "AlarmARN": alarm["AlarmArn"]}
        for alarm in world.metric_alarms.values()
        if policy["PolicyARN"] in alarm["AlarmActions"]
    ]


@operation("application-autoscaling", "DeleteScalingPolicy")
def delete_scaling_policy(world: World, params: Params) -> Params:
    find_target(world, params)
    policy = _policy(world, params)
    if policy is None:
        raise not_found("scaling policy", params)
    forget_policy(world, policy)
    return {}
