"""What is to be fired, and when next: one entry for each schedule, and each rule with a schedule.

`planned` is the entry's next moment. A moment that has come becomes an invocation for each target,
in the same transaction in which the next one is planned; so none is lost or had twice.
"""

from __future__ import annotations

import math
from datetime import UTC
from typing import Any, Final

from kaiun.engine.schedules import expression
from kaiun.engine.schedules.timing import Timing
from kaiun.engine.store import Doc
from kaiun.engine.world import World

SCHEDULER: Final = "scheduler"
EVENTS: Final = "events"
SCALING: Final = "application-autoscaling"


def timing_of(entry: Doc) -> Timing:
    if entry["source"] == EVENTS:
        rule = expression.parse_for_rule(entry["expression"])
        return Timing(rule, UTC, base=entry["base"])
    start, end = entry["start"], entry["end"]
    return Timing(
        expression.parse(entry["expression"]),
        expression.zone_of(entry["zone"]),
        base=entry["base"] if start is None else start,
        start=-math.inf if start is None else start,
        end=math.inf if end is None else end,
    )


def enter(
    world: World,
    arn: str,
    *,
    source: str,
    name: str,
    text: str,
    enabled: bool,
    targets: list[Doc],
    zone: str = "UTC",
    start: float | None = None,
    end: float | None = None,
    window_s: float = 0.0,
    is_deleted_when_done: bool = False,
) -> None:
    """Put an entry in, or change it. What was pending of it goes; a rate counts on as long as the
    expression and the start stay. Raises ValueError on a wrong expression or zone."""
    now = world.now()
    old = world.timetable.get(arn)
    timed: dict[str, Any] = {"expression": text, "zone": zone, "start": start, "end": end}
    counts_on = old is not None and all(old[k] == timed[k] for k in ("expression", "start"))
    entry = {
        **timed,
        "arn": arn,
        "source": source,
        "name": name,
        "enabled": enabled,
        "targets": targets,
        "window_s": window_s,
        "is_deleted_when_done": is_deleted_when_done,
        "base": old["base"] if old is not None and counts_on else now,
    }
    entry["planned"] = _first(timing_of(entry), now, is_new=not counts_on, source=source)
    if old is not None:
        _forget_pending(world, arn)
    world.timetable[arn] = entry
    notice(world)


def _first(timing: Timing, now: float, *, is_new: bool, source: str) -> float | None:
    """Return the next moment. A new schedule fires as it is made; a rule's rate first passes once.

    Source: EventBridge Scheduler user guide, "Rate-based schedules": without StartDate "your
    schedule starts invoking the target immediately".
    """
    return timing.first(now) if is_new and source == SCHEDULER else timing.following(now)


def remove(world: World, arn: str) -> None:
    if arn in world.timetable:
        _forget_pending(world, arn)
        del world.timetable[arn]
        notice(world)


def pending(world: World, arn: str) -> list[str]:
    """Return the keys of an entry's invocations that are still to be made."""
    return [key for key in world.invocations if world.invocations[key]["arn"] == arn]


def _forget_pending(world: World, arn: str) -> None:
    for key in pending(world, arn):
        del world.invocations[key]


def notice(world: World) -> None:
    """Have the loop look at the timetable."""
    world.timetable_changed = True
    world.alarm()
