"""EventBridge Scheduler: schedules."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.schedule_groups import (
    DEFAULT,
    find_group,
    forget,
    invalid,
    is_repeated,
    listed,
)
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules import expression, timetable
from kaiun.engine.store import Doc
from kaiun.engine.world import World

START_GRACE_S = 300.0
MAX_DATE_S = 7_258_118_400  # the end of the year 2199
_DEFAULTS = {
    "ScheduleExpressionTimezone": "UTC",
    "State": "ENABLED",
    "ActionAfterCompletion": "NONE",
}
_RETRIES = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
_NOT_KEPT = ("ClientToken", "Name", "GroupName")


@operation("scheduler", "CreateSchedule")
def create_schedule(world: World, params: Params) -> Params:
    group, name = find_group(world, params.get("GroupName"))["Name"], params["Name"]
    arn = arn_of(world, group, name)
    if (found := world.schedules.get(arn)) is not None:
        if not is_repeated(found, params):
            raise ApiError("ConflictException", f"Schedule {name} already exists.")
        return {"ScheduleArn": arn}
    _check(world, params, None)
    now = world.now()
    own = {"Arn": arn, "Name": name, "GroupName": group, "CreationDate": now}
    _keep(world, {**own, "_": {"token": params.get("ClientToken")}}, params)
    return {"ScheduleArn": arn}


@operation("scheduler", "UpdateSchedule")
def update_schedule(world: World, params: Params) -> Params:
    """Replace a schedule: what is not given has its default again."""
    old = _find(world, params)
    _check(world, params, old)
    own = {key: old[key] for key in ("Arn", "Name", "GroupName", "CreationDate", "_")}
    _keep(world, own, params)
    return {"ScheduleArn": old["Arn"]}


@operation("scheduler", "GetSchedule")
def get_schedule(world: World, params: Params) -> Params:
    return shown(_find(world, params))


@operation("scheduler", "DeleteSchedule")
def delete_schedule(world: World, params: Params) -> Params:
    forget(world, _find(world, params))
    return {}


@operation("scheduler", "ListSchedules")
def list_schedules(world: World, params: Params) -> Params:
    if "GroupName" in params:
        find_group(world, params["GroupName"])
    found = [_summary(doc) for doc in world.schedules.values() if _matches(doc, params)]
    return listed("Schedules", found, params)


def arn_of(world: World, group: str, name: str) -> str:
    return world.arn(f"schedule/{group}/{name}", "scheduler")


def _find(world: World, params: Params) -> Doc:
    found = world.schedules.get(arn_of(world, params.get("GroupName", DEFAULT), params["Name"]))
    if found is None:
        text = f"Schedule {params['Name']} does not exist."
        raise ApiError("ResourceNotFoundException", text, status=404)
    return found


def _matches(schedule: Doc, params: Params) -> bool:
    return (
        params.get("GroupName") in (None, schedule["GroupName"])
        and params.get("State") in (None, schedule["State"])
        and schedule["Name"].startswith(params.get("NamePrefix", ""))
    )


def _summary(schedule: Doc) -> Doc:
    names = ("Arn", "Name", "GroupName", "State", "CreationDate", "LastModificationDate")
    return {n: schedule[n] for n in names} | {"Target": {"Arn": schedule["Target"]["Arn"]}}


def _check(world: World, params: Params, old: Doc | None) -> None:
    """Check what the model cannot say. Raises ValidationException."""
    text = params["ScheduleExpression"]
    try:
        parsed = expression.parse(text)
    except ValueError:
        raise invalid(f"Invalid Schedule Expression {text}.") from None
    try:
        expression.zone_of(params.get("ScheduleExpressionTimezone", "UTC"))
    except ValueError:
        raise invalid("Provided ScheduleExpressionTimezone is not valid.") from None
    window = params["FlexibleTimeWindow"]
    if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
        raise invalid("MaximumWindowInMinutes has to be given with Mode FLEXIBLE, and only then.")
    if not isinstance(parsed, expression.At):
        _check_dates(world, params, old)


def _check_dates(world: World, params: Params, old: Doc | None) -> None:
    start, end = params.get("StartDate"), params.get("EndDate")
    if any(date is not None and not 0 <= date <= MAX_DATE_S for date in (start, end)):
        raise invalid("StartDate and EndDate have to be dates that schedules know.")
    is_kept = old is not None and old.get("StartDate") == start
    if start is not None and not is_kept and start < world.now() - START_GRACE_S:
        raise invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if start is not None and end is not None and end < start:
        raise invalid("The EndDate you specify cannot be earlier than the StartDate.")


def _keep(world: World, own: Doc, params: Params) -> None:
    given = {name: value for name, value in params.items() if name not in _NOT_KEPT}
    target = {**given["Target"], "RetryPolicy": _RETRIES | given["Target"].get("RetryPolicy", {})}
    schedule = {
        **_DEFAULTS, **given, **own, "Target": target, "LastModificationDate": world.now(),
    }  # fmt: skip
    arn = schedule["Arn"]
    world.schedules[arn] = schedule
    timetable.enter(
        world,
        arn,
        source=timetable.SCHEDULER,
        name=schedule["Name"],
        text=schedule["ScheduleExpression"],
        enabled=schedule["State"] == "ENABLED",
        targets=[target],
        zone=schedule["ScheduleExpressionTimezone"],
        start=schedule.get("StartDate"),
        end=schedule.get("EndDate"),
        window_s=schedule["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0) * 60.0,
        is_deleted_when_done=schedule["ActionAfterCompletion"] == "DELETE",
    )
