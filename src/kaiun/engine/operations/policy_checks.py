"""What PutScalingPolicy refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kaiun.engine.autoscaling.policies import step_policy
from kaiun.engine.dispatch import Params
from kaiun.engine.operations.metrics import check_queries
from kaiun.engine.operations.scalable_targets import invalid
from kaiun.engine.operations.tracking_alarms import BY_REQUESTS, PREDEFINED, queries_of
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling import steps
from kaiun.scaling.statistics import is_statistic

MAX_STEPS = 20
CONFIGURATIONS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
}
_SCALED = ("CustomizedMetricSpecification", "PredefinedMetricSpecification")


def checked(world: World, kind: str, params: Params) -> Doc:
    """Return the configuration of a policy's kind. Raises ValidationException."""
    if kind not in CONFIGURATIONS:
        raise invalid(f"Policies of type {kind} are not supported for ECS services here.")
    given = [name for name in CONFIGURATIONS.values() if name in params]
    if given != [CONFIGURATIONS[kind]]:
        raise invalid(f"A policy of type {kind} needs {CONFIGURATIONS[kind]}, and nothing else.")
    configuration: Doc = params[CONFIGURATIONS[kind]]
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
    if kind not in (*PREDEFINED, BY_REQUESTS):
        yield f"{kind} is not supported for ECS services here"
    if (kind == BY_REQUESTS) != (label is not None):
        yield f"ResourceLabel goes with {BY_REQUESTS}, and only with it"
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
            check_queries(queries_of(queries))
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
