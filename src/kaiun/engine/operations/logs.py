"""CloudWatch Logs: groups, streams, events."""

from __future__ import annotations

from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import page
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

MAX_AHEAD_MS = 2 * 3600 * 1000
MAX_BEHIND_MS = 14 * 24 * 3600 * 1000
_RETENTIONS = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
     3288, 3653)
)  # fmt: skip


def group_of(world: World, params: Params) -> Doc:
    """Return the log group that a request names. Raises ResourceNotFoundException."""
    name = params.get("logGroupName")
    if name is None:
        identifier = params.get("logGroupIdentifier") or ""
        name = identifier.partition(":log-group:")[2].removesuffix(":*") or identifier
    if not name:
        raise invalid_parameter("A log group name or identifier must be given.")
    group = world.logbook.groups.get(name)
    if group is None:
        raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
    return group


def _arn(world: World, name: str) -> str:
    return world.arn(f"log-group:{name}:*", "logs")


@operation("logs", "CreateLogGroup")
def create_log_group(world: World, params: Params) -> Params:
    name = params["logGroupName"]
    if name in world.logbook.groups:
        raise ApiError("ResourceAlreadyExistsException", "The specified log group already exists")
    world.logbook.ensure_group(
        name,
        _arn(world, name),
        tags=params.get("tags", {}),
        logGroupClass=params.get("logGroupClass", "STANDARD"),
    )
    return {}


@operation("logs", "DeleteLogGroup")
def delete_log_group(world: World, params: Params) -> Params:
    world.logbook.delete_group(group_of(world, params)["logGroupName"])
    return {}


@operation("logs", "DescribeLogGroups")
def describe_log_groups(world: World, params: Params) -> Params:
    prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
    if prefix and part:
        raise invalid_parameter("LogGroup name prefix and LogGroup name pattern are exclusive.")
    names = sorted(
        n for n in world.logbook.groups if n.startswith(prefix) and part.lower() in n.lower()
    )
    groups = [_show_group(world.logbook.groups[name]) for name in names]
    return _listed("logGroups", groups, params)


def _show_group(group: Doc) -> Doc:
    face = {k: v for k, v in group.items() if k != "tags"}
    return {
        **face,
        "metricFilterCount": 0,
        "storedBytes": 0,
        "logGroupClass": group.get("logGroupClass", "STANDARD"),
        "logGroupArn": group["arn"].removesuffix(":*"),
    }


def _listed(name: str, items: Sequence[Doc], params: Params) -> Params:
    asked = {"nextToken": params.get("nextToken"), "maxResults": params.get("limit") or 50}
    part, following = page(items, asked, limit=50, error=invalid_parameter)
    return {name: part, "nextToken": following} if following else {name: part}


@operation("logs", "PutRetentionPolicy")
def put_retention_policy(world: World, params: Params) -> Params:
    group = group_of(world, params)
    if params["retentionInDays"] not in _RETENTIONS:
        raise invalid_parameter("Invalid retention value.")
    group["retentionInDays"] = params["retentionInDays"]
    world.logbook.groups.touch(group["logGroupName"])
    return {}


@operation("logs", "DeleteRetentionPolicy")
def delete_retention_policy(world: World, params: Params) -> Params:
    group = group_of(world, params)
    group.pop("retentionInDays", None)
    world.logbook.groups.touch(group["logGroupName"])
    return {}


@operation("logs", "CreateLogStream")
def create_log_stream(world: World, params: Params) -> Params:
    group, stream = group_of(world, params)["logGroupName"], params["logStreamName"]
    if world.logbook.stream(group, stream) is not None:
        raise ApiError("ResourceAlreadyExistsException", "The specified log stream already exists")
    world.logbook.ensure_stream(group, stream)
    return {}


@operation("logs", "DeleteLogStream")
def delete_log_stream(world: World, params: Params) -> Params:
    group = group_of(world, params)["logGroupName"]
    stream_of(world, group, params["logStreamName"])
    world.logbook.delete_stream(group, params["logStreamName"])
    return {}


@operation("logs", "DescribeLogStreams")
def describe_log_streams(world: World, params: Params) -> Params:
    group = group_of(world, params)
    prefix = params.get("logStreamNamePrefix", "")
    by_time = params.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
    found = [
        s
        for s in world.logbook.streams_of(group["logGroupName"])
        if s["logStreamName"].startswith(prefix)
    ]
    found.sort(
        key=lambda s: (s.get("lastEventTimestamp", 0) if by_time else 0, s["logStreamName"]),
        reverse=params.get("descending", False),
    )
    base = group["arn"].removesuffix(":*")
    faces = [
        {
            **s,
            "uploadSequenceToken": "1",
            "arn": f"{base}:log-stream:{s['logStreamName']}",
            "storedBytes": 0,
        }
        for s in found
    ]
    return _listed("logStreams", faces, params)


def stream_of(world: World, group: str, stream: str) -> Doc:
    """Return a log stream. Raises ResourceNotFoundException."""
    found = world.logbook.stream(group, stream)
    if found is None:
        raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
    return found


@operation("logs", "PutLogEvents")
def put_log_events(world: World, params: Params) -> Params:
    group = group_of(world, params)["logGroupName"]
    stream = params["logStreamName"]
    stream_of(world, group, stream)
    now = int(world.now() * 1000)
    events = [(e["timestamp"], e["message"]) for e in params["logEvents"]]
    if sorted(when for when, _ in events) != [when for when, _ in events]:
        raise invalid_parameter("Log events in a single PutLogEvents request must be in order.")
    old = sum(when < now - MAX_BEHIND_MS for when, _ in events)
    new = sum(when > now + MAX_AHEAD_MS for when, _ in events)
    kept = events[old : len(events) - new]
    if kept:
        world.logbook.write(group, stream, kept)
        world.logbook.flush()
    answer: Params = {"nextSequenceToken": "1"}
    rejected = {}
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if new:
        rejected["tooNewLogEventStartIndex"] = len(events) - new
    return answer | {"rejectedLogEventsInfo": rejected} if rejected else answer


def _group_of_arn(world: World, arn: str) -> Doc:
    return group_of(world, {"logGroupIdentifier": arn})


@operation("logs", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    return {"tags": _group_of_arn(world, params["resourceArn"])["tags"]}


@operation("logs", "ListTagsLogGroup")
def list_tags_log_group(world: World, params: Params) -> Params:
    return {"tags": group_of(world, params)["tags"]}


@operation("logs", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    group = _group_of_arn(world, params["resourceArn"])
    group["tags"] |= params["tags"]
    world.logbook.groups.touch(group["logGroupName"])
    return {}


@operation("logs", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    group = _group_of_arn(world, params["resourceArn"])
    for key in params["tagKeys"]:
        group["tags"].pop(key, None)
    world.logbook.groups.touch(group["logGroupName"])
    return {}
