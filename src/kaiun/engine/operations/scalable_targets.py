"""Application Auto Scaling: scalable targets, their activities and tags.

Only the desired count of ECS services scales here.
"""

from __future__ import annotations

from collections.abc import Iterable

from kaiun.engine.autoscaling.activities import DIMENSION, service_of, settle
from kaiun.engine.autoscaling.bounds import hold_bounds
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import new_id, page, shown
from kaiun.engine.operations.metric_alarms import delete_alarm
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules import timetable
from kaiun.engine.store import Doc
from kaiun.engine.world import World

PAGE = 50
MAX_TAGS = 50
_SWITCHES = (
    "DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended",
)  # fmt: skip
_ROLE = (
    "role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)


@operation("application-autoscaling", "RegisterScalableTarget")
def register_scalable_target(world: World, params: Params) -> Params:
    check_kind(params)
    resource = params["ResourceId"]
    if service_of(world, resource) is None:
        raise invalid(f"ECS service doesn't exist: {resource}")
    old = world.scalable_targets.get(resource)
    if old is not None and params.get("Tags"):
        raise invalid("Tags cannot be given for a scalable target that is registered already.")
    check_tags(params.get("Tags", {}))
    target = old or _new(world, params)
    bounds: Doc = {key: params[key] for key in ("MinCapacity", "MaxCapacity") if key in params}
    if any(key not in {**target, **bounds} for key in ("MinCapacity", "MaxCapacity")):
        raise invalid("MinCapacity and MaxCapacity are required for a new scalable target.")
    check_bounds({**target, **bounds})
    suspended = {**target["SuspendedState"], **params.get("SuspendedState", {})}
    role = {"RoleARN": params["RoleARN"]} if "RoleARN" in params else {}
    world.scalable_targets[resource] = {
        **target, **bounds, **role, "SuspendedState": suspended,
    }  # fmt: skip
    hold_bounds(world, world.scalable_targets[resource])
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


def _new(world: World, params: Params) -> Doc:
    return {
        **DIMENSION,
        "ResourceId": params["ResourceId"],
        "RoleARN": f"arn:aws:iam::{world.identity.account}:{_ROLE}",
        "CreationTime": world.now(),
        "SuspendedState": dict.fromkeys(_SWITCHES, False),
        "ScalableTargetARN": world.arn(f"scalable-target/{new_id()}", "application-autoscaling"),
        "_": {"tags": params.get("Tags", {})},
    }


@operation("application-autoscaling", "DescribeScalableTargets")
def describe_scalable_targets(world: World, params: Params) -> Params:
    asked = params.get("ResourceIds")
    found = [
        shown(target)
        for target in world.scalable_targets.values()
        if is_kind(params) and (not asked or target["ResourceId"] in asked)
    ]
    return listed("ScalableTargets", found, params)


@operation("application-autoscaling", "DeregisterScalableTarget")
def deregister_scalable_target(world: World, params: Params) -> Params:
    """Forget a target, with its policies, their alarms, and its scheduled actions."""
    target = find_target(world, params)
    for policy in list(world.scaling_policies.values()):
        if policy["ResourceId"] == target["ResourceId"]:
            forget_policy(world, policy)
    for action in list(world.scheduled_actions.values()):
        if action["ResourceId"] == target["ResourceId"]:
            forget_action(world, action)
    del world.scalable_targets[target["ResourceId"]]
    return {}


def forget_policy(world: World, policy: Doc) -> None:
    """Delete a policy, and the alarms that were made for it."""
    if policy["PolicyType"] == "TargetTrackingScaling":
        for alarm in policy["Alarms"]:
            delete_alarm(world, alarm["AlarmName"])
    del world.scaling_policies[policy["PolicyARN"]]


def forget_action(world: World, action: Doc) -> None:
    timetable.remove(world, action["ScheduledActionARN"])
    del world.scheduled_actions[action["ScheduledActionARN"]]


@operation("application-autoscaling", "DescribeScalingActivities")
def describe_scaling_activities(world: World, params: Params) -> Params:
    settle(world)
    with_unscaled = params.get("IncludeNotScaledActivities", False)
    found = [
        shown(activity)
        for activity in of_target(world.scaling_activities.values()[::-1], params)
        if with_unscaled or "NotScaledReasons" not in activity
    ]
    return listed("ScalingActivities", found, params)


@operation("application-autoscaling", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    return {"Tags": _tagged(world, params)["_"]["tags"]}


@operation("application-autoscaling", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    target = _tagged(world, params)
    tags = {**target["_"]["tags"], **params["Tags"]}
    if len(tags) > MAX_TAGS:
        text = f"A resource has {MAX_TAGS} tags at most."
        raise ApiError("TooManyTagsException", text, ResourceName=params["ResourceARN"])
    check_tags(params["Tags"])
    target["_"]["tags"] = tags
    world.scalable_targets.touch(target["ResourceId"])
    return {}


@operation("application-autoscaling", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    target = _tagged(world, params)
    kept = {k: v for k, v in target["_"]["tags"].items() if k not in params["TagKeys"]}
    target["_"]["tags"] = kept
    world.scalable_targets.touch(target["ResourceId"])
    return {}


def _tagged(world: World, params: Params) -> Doc:
    arn = params["ResourceARN"]
    targets = world.scalable_targets.values()
    found = next((target for target in targets if target["ScalableTargetARN"] == arn), None)
    if found is None:
        text = f"The specified resource doesn't exist: {arn}"
        raise ApiError("ResourceNotFoundException", text, ResourceName=arn)
    return found


def check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MAX_TAGS or any(key.lower().startswith("aws:") for key in tags):
        raise invalid(f"There can be {MAX_TAGS} tags, whose keys do not start with aws:.")


def is_kind(params: Params) -> bool:
    """Tell whether a request asks for what scales here."""
    return {**DIMENSION, **{k: params[k] for k in DIMENSION if k in params}} == DIMENSION


def check_kind(params: Params) -> None:
    """Raise ValidationException for what does not scale here."""
    parts = params["ResourceId"].split("/")
    if not is_kind(params) or len(parts) != 3 or parts[0] != "service" or not all(parts):
        raise invalid("Unsupported service namespace, resource type or scalable dimension")


def find_target(world: World, params: Params) -> Doc:
    """Return the scalable target that a request names. Raises ObjectNotFoundException."""
    check_kind(params)
    found = world.scalable_targets.get(params["ResourceId"])
    if found is None:
        raise not_found("scalable target", params)
    return found


def of_target(items: Iterable[Doc], params: Params) -> list[Doc]:
    """Return what a request asks about: all that scales here, or what is one target's."""
    if not is_kind(params):
        return []
    resource = params.get("ResourceId")
    return [each for each in items if resource in (None, each["ResourceId"])]


def find_own(items: Iterable[Doc], params: Params, member: str) -> Doc | None:
    """Return the one of a target's that a request names by the member `member`."""
    wanted = params["ResourceId"], params[member]
    return next((each for each in items if (each["ResourceId"], each[member]) == wanted), None)


def not_found(what: str, params: Params) -> ApiError:
    text = (
        f"No {what} found for service namespace: {params['ServiceNamespace']}, resource ID: "
        f"{params['ResourceId']}, scalable dimension: {params['ScalableDimension']}"
    )
    return ApiError("ObjectNotFoundException", text)


def check_bounds(bounds: Doc) -> None:
    low, high = bounds.get("MinCapacity", 0), bounds.get("MaxCapacity")
    if low < 0 or (high is not None and high < 0):
        raise invalid("Minimum and maximum capacity must not be below 0")
    if high is not None and low > high:
        raise invalid("Maximum capacity cannot be less than minimum capacity")


def listed(name: str, items: list[Doc], params: Params) -> Params:
    """Return a page of items in Application Auto Scaling's form."""
    most = params.get("MaxResults")
    if most is not None and not 1 <= most <= PAGE:
        raise invalid(f"MaxResults must be between 1 and {PAGE}.")
    asked = {"nextToken": params.get("NextToken"), "maxResults": most}
    part, following = page(items, asked, limit=PAGE, error=_bad_token)
    return {name: part, "NextToken": following} if following else {name: part}


def _bad_token(message: str) -> ApiError:
    return ApiError("InvalidNextTokenException", message)


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
