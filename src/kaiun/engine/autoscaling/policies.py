"""Scaling policies act when an alarm rings: the arithmetic is that of `kaiun.scaling`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from kaiun.engine.autoscaling.activities import note_unscaled, service_of, set_capacity
from kaiun.engine.codec import decode, encode
from kaiun.engine.metrics.judging import Ring
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling import tracking
from kaiun.scaling.decision import Bounds, Decision, Held, Memory, Pace, decide, remembered
from kaiun.scaling.steps import Adjustment, Step, StepPolicy
from kaiun.scheduler.model import RolloutState

COOLDOWN_S: Final = 300


def act(world: World) -> Callable[[Ring], str | None]:
    """Return what carries out alarms' actions, and says why it could not."""

    def ring(due: Ring) -> str | None:
        policy = world.scaling_policies.get(due.action)
        if policy is None:
            return "no such scaling policy" if ":scalingPolicy:" in due.action else "not done here"
        return _run(world, policy, due)

    return ring


def _run(world: World, policy: Doc, due: Ring) -> str | None:
    resource, alarm = policy["ResourceId"], due.alarm
    target = world.scalable_targets.get(resource)
    service = service_of(world, resource)
    if target is None or service is None:
        return "the scalable target is not there"
    capacity = service["desiredCount"]
    wants = _wants(policy, due)
    if _is_suspended(target, out=wants(capacity) > capacity):
        return None
    if policy["PolicyType"] == "TargetTrackingScaling" and wants(capacity) < capacity:
        wants = _joined(world, policy, wants, capacity)
    cause = f"monitor alarm {alarm['AlarmName']} in state ALARM triggered policy"
    decision = decide(
        wants,
        capacity,
        Bounds(target["MinCapacity"], target["MaxCapacity"]),
        _pace(policy, world.now()),
        may_shrink=not _is_deploying(world, service),
    )
    return _carry_out(world, policy, decision, capacity, f"{cause} {policy['PolicyName']}")


def _carry_out(
    world: World, policy: Doc, decision: Decision, capacity: int, cause: str
) -> str | None:
    target = world.scalable_targets[policy["ResourceId"]]
    if decision.held is not None:
        if decision.held is not Held.COOLING:
            note_unscaled(world, target, decision, cause)
        return None
    problem = set_capacity(world, target, decision.capacity, cause)
    if problem is None:
        memory = decode(Memory, policy["_"]["memory"])
        after = remembered(memory, capacity, decision, world.now())
        policy["_"]["memory"] = encode(after)
        world.scaling_policies.touch(policy["PolicyARN"])
    return problem


def _is_suspended(target: Doc, *, out: bool) -> bool:
    suspended: bool = target["SuspendedState"][f"DynamicScaling{'Out' if out else 'In'}Suspended"]
    return suspended


def _is_deploying(world: World, service: Doc) -> bool:
    """Scale-in is off while a deployment is in progress, scale-out is not.

    Source: ECS developer guide, "Automatically scale your Amazon ECS service", considerations.
    """
    if world.scheduled(service["serviceArn"]) is None:
        return False
    return world.state(service["serviceArn"]).primary.rollout_state is RolloutState.IN_PROGRESS


def _wants(policy: Doc, due: Ring) -> Callable[[int], int]:
    """Return what capacity a policy wants in place of another, as the alarm's value is."""
    threshold = due.alarm["Threshold"]
    value = threshold if due.value is None else due.value
    if policy["PolicyType"] == "TargetTrackingScaling":
        aim = policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
        return lambda capacity: tracking.wants(capacity, value, aim)
    rules = step_policy(policy["StepScalingPolicyConfiguration"])
    return lambda capacity: rules.wants(capacity, value - threshold)


def _joined(
    world: World, policy: Doc, wants: Callable[[int], int], capacity: int
) -> Callable[[int], int]:
    """Return what all target tracking policies of a target want together: the largest capacity.

    One that does not scale in now keeps the target as it is. Source: Application Auto Scaling user
    guide: it "scales in only if all of the target tracking policies are ready to scale in".
    """
    own = policy["_"]
    own["low"] = {"at": world.now(), "wants": wants(capacity)}
    world.scaling_policies.touch(policy["PolicyARN"])
    wanted = []
    for other in world.scaling_policies.values():
        same = other["ResourceId"] == policy["ResourceId"]
        if not same or other["PolicyType"] != "TargetTrackingScaling":
            continue
        if other["TargetTrackingScalingPolicyConfiguration"].get("DisableScaleIn"):
            continue
        low = next(a["AlarmName"] for a in other["Alarms"] if "-AlarmLow-" in a["AlarmName"])
        alarm = world.metric_alarms.get(low)
        is_ready = alarm is not None and alarm["StateValue"] == "ALARM" and "low" in other["_"]
        wanted.append(other["_"]["low"]["wants"] if is_ready else capacity)
    together = min(capacity, max(wanted))
    return lambda _: together


def step_policy(configuration: Doc) -> StepPolicy:
    """Return a StepScalingPolicyConfiguration as it is calculated with."""
    steps = (
        Step(
            step["ScalingAdjustment"],
            step.get("MetricIntervalLowerBound", -math.inf),
            step.get("MetricIntervalUpperBound", math.inf),
        )
        for step in configuration["StepAdjustments"]
    )
    least = configuration.get("MinAdjustmentMagnitude", 0)
    return StepPolicy(Adjustment(configuration["AdjustmentType"]), tuple(steps), least)


def _pace(policy: Doc, now: float) -> Pace:
    memory = decode(Memory, policy["_"]["memory"])
    if policy["PolicyType"] == "StepScaling":
        cooldown_s = policy["StepScalingPolicyConfiguration"].get("Cooldown", COOLDOWN_S)
        return Pace(memory, now, cooldown_s, cooldown_s)
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    return Pace(
        memory,
        now,
        configuration.get("ScaleOutCooldown", COOLDOWN_S),
        configuration.get("ScaleInCooldown", COOLDOWN_S),
    )
