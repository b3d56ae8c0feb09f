"""Application Auto Scaling: scaling policies, and the alarms that drive them."""

from __future__ import annotations

import uuid

from kaiun.engine.autoscaling.activities import DIMENSION
from kaiun.engine.codec import encode
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.policy_checks import CONFIGURATIONS, checked
from kaiun.engine.operations.scalable_targets import (
    find_own,
    find_target,
    forget_policy,
    invalid,
    listed,
    not_found,
    of_target,
)
from kaiun.engine.operations.tracking_alarms import put_alarms
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.decision import Memory

MAX_POLICIES = 50


@operation("application-autoscaling", "PutScalingPolicy")
def put_scaling_policy(world: World, params: Params) -> Params:
    find_target(world, params)
    old = _policy(world, params)
    kind: str = params.get("PolicyType") or (old["PolicyType"] if old else "StepScaling")
    if old is not None and old["PolicyType"] != kind:
        raise invalid("The type of a scaling policy cannot be changed.")
    configuration = checked(world, kind, params)
    if old is None and len(of_target(world.scaling_policies.values(), params)) >= MAX_POLICIES:
        text = f"A scalable target has {MAX_POLICIES} policies at most."
        raise ApiError("LimitExceededException", text)
    policy = {
        **(old or _new(world, params, kind)),
        CONFIGURATIONS[kind]: configuration,
    }
    if old is not None:
        policy["_"]["memory"] = encode(Memory())
    if kind == "TargetTrackingScaling":
        policy["Alarms"] = put_alarms(world, policy)
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
    return find_own(world.scaling_policies.values(), params, "PolicyName")


@operation("application-autoscaling", "DescribeScalingPolicies")
def describe_scaling_policies(world: World, params: Params) -> Params:
    names = params.get("PolicyNames")
    found = [
        {**shown(policy), "Alarms": _alarms_of(world, policy)}
        for policy in of_target(world.scaling_policies.values(), params)
        if not names or policy["PolicyName"] in names
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
