"""CloudWatch Logs: reading events, of one stream or of many."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.logbook import Event
from kaiun.engine.operations.log_pattern import matcher
from kaiun.engine.operations.logs import group_of, stream_of
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

MAX_EVENTS = 10_000


_TOKEN = re.compile(r"([fb])/(-?\d+)/(-?\d+)")


@operation("logs", "GetLogEvents")
def get_log_events(world: World, params: Params) -> Params:
    """Return a page. The token of a page without events is the one that was given, so that a
    client that stops when the token does not change, stops."""
    group = group_of(world, params)["logGroupName"]
    stream = params["logStreamName"]
    stream_of(world, group, stream)
    limit = params.get("limit", MAX_EVENTS)
    token = _parse_token(params.get("nextToken"))
    backward = token[0] == "b" if token else not params.get("startFromHead", False)
    found = world.logbook.page(
        group,
        stream,
        after=token[1] if token and not backward else None,
        before=token[1] if token and backward else None,
        start=params.get("startTime"),
        end=params.get("endTime"),
        limit=limit,
        newest_first=backward,
    )
    if backward:
        found.reverse()
    first, last = _ends(found, token, params)
    return {
        "events": [_show_event(e) for e in found],
        "nextForwardToken": f"f/{last[0]}/{last[1]}",
        "nextBackwardToken": f"b/{first[0]}/{first[1]}",
    }


Position = tuple[int, int]


def _parse_token(text: str | None) -> tuple[str, Position] | None:
    if text is None:
        return None
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise invalid_parameter("The specified nextToken is invalid.")
    return found[1], (int(found[2]), int(found[3]))


def _ends(
    found: Sequence[Event], token: tuple[str, Position] | None, params: Params
) -> tuple[Position, Position]:
    """Return the positions before the first and after the last event of a page."""
    if found:
        return (found[0].timestamp, found[0].id), (found[-1].timestamp, found[-1].id)
    if token:
        return token[1], token[1]
    start = params.get("startTime", 0)
    return (start, 0), (start - 1, 1 << 62)


def _show_event(event: Event) -> Doc:
    return {
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingestion_time,
    }


@operation("logs", "FilterLogEvents")
def filter_log_events(world: World, params: Params) -> Params:
    group = group_of(world, params)["logGroupName"]
    streams = _streams_asked(world, group, params)
    limit = params.get("limit", MAX_EVENTS)
    matches = matcher(params.get("filterPattern", ""))
    token = _parse_token(params.get("nextToken"))
    position = token[1] if token else None
    found: list[Event] = []
    while len(found) < limit:
        batch = world.logbook.search(
            group,
            streams,
            after=position,
            start=params.get("startTime"),
            end=params["endTime"] + 1 if "endTime" in params else None,
            limit=MAX_EVENTS,
        )
        for event in batch:
            position = (event.timestamp, event.id)
            if matches(event.message):
                found.append(event)
                if len(found) == limit:
                    break
        if len(batch) < MAX_EVENTS:
            break
    answer: Params = {"events": [_show_found(e) for e in found], "searchedLogStreams": []}
    if len(found) == limit and position:
        answer["nextToken"] = f"f/{position[0]}/{position[1]}"
    return answer


def _streams_asked(world: World, group: str, params: Params) -> list[str] | None:
    if names := params.get("logStreamNames"):
        for name in names:
            stream_of(world, group, name)
        return list(names)
    if prefix := params.get("logStreamNamePrefix"):
        names = [s["logStreamName"] for s in world.logbook.streams_of(group)]
        return [n for n in names if n.startswith(prefix)]
    return None


def _show_found(event: Event) -> Doc:
    return {"logStreamName": event.stream, "eventId": str(event.id).zfill(20), **_show_event(event)}
