"""PutEvents and TestEventPattern of a client: what the engine answers in place of moto.

moto delivers to queues, archives and other buses, but fails where a rule that matches has a cluster
of ECS as its target, and its log groups are not ours. So events that a rule matches go through the
engine's outbox; all else, what is wrong included, is answered by moto.
"""

from __future__ import annotations

import json
from typing import Any

from kaiun.engine.eventbus.bus import DEFAULT
from kaiun.engine.eventbus.pattern import check, matches
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

MAX_ENTRIES = 10


def answer(world: World, target: str, body: bytes) -> Doc | None:
    """Return the answer to a request (its X-Amz-Target and body), None where it is moto's.

    Raises ApiError.
    """
    operation = target.rpartition(".")[2]
    if operation not in ("PutEvents", "TestEventPattern"):
        return None
    try:
        request = json.loads(body)
        if operation == "TestEventPattern":
            return _tested(request)
        return _put(world, request["Entries"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    except OSError:  # of a time that the machine does not know
        return None


def _tested(request: Doc) -> Doc:
    try:
        wanted, event = json.loads(request["EventPattern"]), json.loads(request["Event"])
        check(wanted)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        text = f"Event pattern is not valid. Reason: {problem}"
        raise ApiError("InvalidEventPatternException", text) from None
    return {"Result": matches(wanted, event)}


def _put(world: World, entries: list[Doc]) -> Doc | None:
    if not 1 <= len(entries) <= MAX_ENTRIES:
        return None
    events = [(_event(world, entry), _bus(entry)) for entry in entries]
    if not any(world.bus.is_matched(event, bus) for event, bus in events):
        return None
    for event, bus in events:
        world.bus.put(event, bus)
    world.store.commit()
    return {"FailedEntryCount": 0, "Entries": [{"EventId": event["id"]} for event, _ in events]}


def _bus(entry: Doc) -> str:
    return str(entry.get("EventBusName") or DEFAULT).rpartition("/")[2]


def _event(world: World, entry: Doc) -> Doc:
    """Return the event of an entry. Raises ValueError or KeyError for one that is wrong."""
    detail: Any = json.loads(entry["Detail"])
    resources, at = entry.get("Resources", []), float(entry.get("Time", 0.0))
    named = [entry["Source"], entry["DetailType"], *resources]
    if not isinstance(detail, dict) or not all(isinstance(n, str) and n for n in named):
        raise ValueError("not an event")
    return world.bus.event(entry["DetailType"], entry["Source"], resources, detail, at)
