"""Composite alarms: alarms whose state follows that of others, at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling import composite
from kaiun.scaling.alarm import AlarmState


def is_composite(alarm: Doc) -> bool:
    return "AlarmRule" in alarm


def children(alarm: Doc) -> tuple[str, ...]:
    """Return the names of the alarms that a composite one looks at."""
    return tuple(_name(text) for text in composite.parse(alarm["AlarmRule"]).names)


def _name(text: str) -> str:
    """Return the name of an alarm that a rule names by that, or by its ARN."""
    return text.partition(":alarm:")[2] or text


def parents(world: World, name: str) -> list[Doc]:
    """Return the composite alarms that look at an alarm."""
    alarms = world.metric_alarms.values()
    return [alarm for alarm in alarms if is_composite(alarm) and name in children(alarm)]


def is_below(world: World, name: str, alarm: Doc) -> bool:
    """Tell whether an alarm looks at the one of this name, itself or by others."""
    waiting, seen = list(children(alarm)), set()
    while waiting:
        child = waiting.pop()
        found = world.metric_alarms.get(child)
        if child == name:
            return True
        if child not in seen and found is not None and is_composite(found):
            seen.add(child)
            waiting += children(found)
    return False


def due(world: World) -> Iterator[tuple[Doc, AlarmState]]:
    """Yield the composite alarms that are not in the state that their rule has now."""

    def state_of(text: str) -> AlarmState:
        found = world.metric_alarms.get(_name(text))
        return AlarmState(found["StateValue"]) if found else AlarmState.INSUFFICIENT_DATA

    for alarm in world.metric_alarms.values():
        if is_composite(alarm) and "set_at" not in alarm["_"]:
            holds = composite.parse(alarm["AlarmRule"]).holds(state_of)
            state = AlarmState.ALARM if holds else AlarmState.OK
            if state is not AlarmState(alarm["StateValue"]):
                yield alarm, state


def reason(child: Doc, at: float) -> str:
    """Return why a composite alarm changed its state, in CloudWatch's words."""
    moment = datetime.fromtimestamp(at, UTC).strftime("%A %d %B, %Y %H:%M:%S UTC")
    return f"{child['AlarmArn']} transitioned to {child['StateValue']} at {moment}"
