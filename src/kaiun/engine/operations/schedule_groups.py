"""EventBridge Scheduler: groups of schedules, and their tags."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import page, shown
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules import timetable
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DEFAULT = "default"
PAGE = 100


def find_group(world: World, name: str | None) -> Doc:
    """Return a group; the default one is always there. Raises ResourceNotFoundException."""
    if name in (None, DEFAULT) and DEFAULT not in world.schedule_groups:
        _make(world, DEFAULT, {})
    found = world.schedule_groups.get(name or DEFAULT)
    if found is None:
        text = f"Schedule group {name} does not exist."
        raise ApiError("ResourceNotFoundException", text, status=404)
    return found


def _make(world: World, name: str, params: Params) -> Doc:
    now = world.now()
    world.schedule_groups[name] = {
        "Arn": world.arn(f"schedule-group/{name}", "scheduler"),
        "Name": name,
        "State": "ACTIVE",
        "CreationDate": now,
        "LastModificationDate": now,
        "_": {"tags": params.get("Tags", []), "token": params.get("ClientToken")},
    }
    return world.schedule_groups[name]


def is_repeated(kept: Doc, params: Params) -> bool:
    """Tell whether the request that made something has been sent again."""
    return "ClientToken" in params and kept["_"]["token"] == params["ClientToken"]


@operation("scheduler", "CreateScheduleGroup")
def create_schedule_group(world: World, params: Params) -> Params:
    name = params["Name"]
    found = find_group(world, name) if name == DEFAULT else world.schedule_groups.get(name)
    if found is not None and not is_repeated(found, params):
        raise ApiError("ConflictException", f"Schedule group {name} already exists.")
    return {"ScheduleGroupArn": (found or _make(world, name, params))["Arn"]}


@operation("scheduler", "GetScheduleGroup")
def get_schedule_group(world: World, params: Params) -> Params:
    return shown(find_group(world, params["Name"]))


@operation("scheduler", "DeleteScheduleGroup")
def delete_schedule_group(world: World, params: Params) -> Params:
    """Delete a group and all schedules in it, at once."""
    group = find_group(world, params["Name"])
    if group["Name"] == DEFAULT:
        raise invalid("The default schedule group cannot be deleted.")
    for schedule in world.schedules.values():
        if schedule["GroupName"] == group["Name"]:
            forget(world, schedule)
    del world.schedule_groups[group["Name"]]
    return {}


@operation("scheduler", "ListScheduleGroups")
def list_schedule_groups(world: World, params: Params) -> Params:
    find_group(world, DEFAULT)
    prefix = params.get("NamePrefix", "")
    found = [g for g in world.schedule_groups.values() if g["Name"].startswith(prefix)]
    return listed("ScheduleGroups", [shown(group) for group in found], params)


@operation("scheduler", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    return {"Tags": _tagged(world, params)["_"]["tags"]}


@operation("scheduler", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    group = _tagged(world, params)
    given = {tag["Key"]: tag for tag in [*group["_"]["tags"], *params["Tags"]]}
    group["_"]["tags"] = list(given.values())
    world.schedule_groups.touch(group["Name"])
    return {}


@operation("scheduler", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    group = _tagged(world, params)
    group["_"]["tags"] = [t for t in group["_"]["tags"] if t["Key"] not in params["TagKeys"]]
    world.schedule_groups.touch(group["Name"])
    return {}


def _tagged(world: World, params: Params) -> Doc:
    """Return the group of an ARN; nothing else of Scheduler has tags."""
    group = find_group(world, name_of(params["ResourceArn"]))
    if group["Arn"] != params["ResourceArn"]:
        text = f"Resource {params['ResourceArn']} does not exist."
        raise ApiError("ResourceNotFoundException", text, status=404)
    return group


def forget(world: World, schedule: Doc) -> None:
    """Delete a schedule."""
    timetable.remove(world, schedule["Arn"])
    del world.schedules[schedule["Arn"]]


def listed(name: str, items: list[Doc], params: Params) -> Params:
    """Return a page of items in Scheduler's form."""
    asked = {"nextToken": params.get("NextToken"), "maxResults": params.get("MaxResults")}
    part, following = page(items, asked, limit=PAGE, error=invalid)
    return {name: part, "NextToken": following} if following else {name: part}


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
