"""Application Auto Scaling: scheduled actions, which set the bounds of scalable targets."""

from __future__ import annotations

import math
import uuid

from kaiun.engine.autoscaling.activities import DIMENSION
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.scalable_targets import (
    check_bounds,
    find_own,
    find_target,
    forget_action,
    invalid,
    listed,
    not_found,
    of_target,
)
from kaiun.engine.operations.schedules import MAX_DATE_S
from kaiun.engine.schedules import expression, timetable
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_DATES = ("StartTime", "EndTime")


@operation("application-autoscaling", "PutScheduledAction")
def put_scheduled_action(world: World, params: Params) -> Params:
    """Make an action, or change one: its schedule stays where none is given, dates do not."""
    find_target(world, params)
    old = _action(world, params)
    if "Schedule" not in params and old is None:
        raise invalid("Schedule is required for a new scheduled action")
    names = ("Schedule", "Timezone", "ScalableTargetAction", *_DATES)
    given = {name: params[name] for name in names if name in params}
    kept = {key: value for key, value in (old or {}).items() if key not in _DATES}
    action = {**(kept or _new(world, params)), **given}
    _check(action)
    world.scheduled_actions[action["ScheduledActionARN"]] = action
    _enter(world, action)
    return {}


def _new(world: World, params: Params) -> Doc:
    resource, name = params["ResourceId"], params["ScheduledActionName"]
    path = f"scheduledAction:{uuid.uuid4()}:resource/ecs/{resource}:scheduledActionName/{name}"
    return {
        "ScheduledActionName": name,
        "ScheduledActionARN": world.arn(path, "autoscaling"),
        **DIMENSION,
        "ResourceId": resource,
        "CreationTime": world.now(),
        "_": {},
    }


def _check(action: Doc) -> None:
    """Check what the model cannot say. Raises ValidationException."""
    try:
        expression.parse(action["Schedule"])
    except ValueError:
        raise invalid(f"Invalid schedule expression: {action['Schedule'][:200]}") from None
    try:
        expression.zone_of(action.get("Timezone", "UTC"))
    except ValueError:
        raise invalid("Timezone is not a time zone by its IANA name") from None
    dates = [action[name] for name in _DATES if name in action]
    if any(not (math.isfinite(date) and 0 <= date <= MAX_DATE_S) for date in dates):
        raise invalid("StartTime and EndTime have to be dates that schedules know")
    if dates != sorted(dates):
        raise invalid("StartTime must be before EndTime")
    bounds = action.get("ScalableTargetAction")
    if not bounds:
        raise invalid("A scheduled action sets MinCapacity, MaxCapacity or both")
    check_bounds(bounds)


def _enter(world: World, action: Doc) -> None:
    is_once = isinstance(expression.parse(action["Schedule"]), expression.At)
    timetable.enter(
        world,
        action["ScheduledActionARN"],
        source=timetable.SCALING,
        name=action["ScheduledActionName"],
        text=action["Schedule"],
        enabled=True,
        targets=[action["ScalableTargetAction"]],
        zone=action.get("Timezone", "UTC"),
        start=action.get("StartTime"),
        end=action.get("EndTime"),
        is_deleted_when_done=is_once,
    )


def _action(world: World, params: Params) -> Doc | None:
    return find_own(world.scheduled_actions.values(), params, "ScheduledActionName")


@operation("application-autoscaling", "DescribeScheduledActions")
def describe_scheduled_actions(world: World, params: Params) -> Params:
    names = params.get("ScheduledActionNames")
    found = [
        shown(action)
        for action in of_target(world.scheduled_actions.values(), params)
        if not names or action["ScheduledActionName"] in names
    ]
    return listed("ScheduledActions", found, params)


@operation("application-autoscaling", "DeleteScheduledAction")
def delete_scheduled_action(world: World, params: Params) -> Params:
    find_target(world, params)
    action = _action(world, params)
    if action is None:
        raise not_found("scheduled action", params)
    forget_action(world, action)
    return {}
