"""What the events of a service say: the words that ECS uses, and what follows from their times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.aws.types import Event

STARTED = re.compile(r"has started (\d+) tasks")
DRAINING = re.compile(r"has begun draining connections on (\d+) tasks")
STOPPED = re.compile(r"has stopped (\d+) running tasks")
RETIRED = re.compile(f"{DRAINING.pattern}|{STOPPED.pattern}")
COMPLETED = re.compile(r"\(deployment ecs-svc/[^)]+\) deployment completed")
BLOCKED = "unable to stop or start tasks during a deployment"
TROUBLE = re.compile(
    r"is unhealthy in|health checks|unable to place|unable to consistently start|deployment failed"
    r"|unable to pull|failed to start|unable to register"
)
ROLLING_BACK = re.compile(r"rolling back", re.IGNORECASE)
UNHEALTHY = re.compile(r"is unhealthy in|failed container health checks")
TARGET_GROUP = re.compile(r"arn:\S+?:targetgroup/([^/\s)]+)/[0-9a-f]+")
TASK = re.compile(r"\(task ([0-9a-f]{8})[0-9a-f]{24}\)")


@dataclass(frozen=True, slots=True)
class Seen:
    """One service event that had not been seen before."""

    at: float
    message: str
    trouble: bool


def past(events: Sequence[Event], until: float) -> tuple[float | None, float | None]:
    """Return how long the last completed rollout before `until` took, from the service's events:
    seconds from its first started task until old tasks were retired, and from then to its end;
    without old tasks: until its end, and None."""
    earlier = sorted((e for e in events if at(e) < until), key=at)
    ends = [i for i, e in enumerate(earlier) if COMPLETED.search(e.get("message", ""))]
    if not ends:
        return None, None
    end = ends[-1]
    rollout = earlier[ends[-2] + 1 : end + 1] if len(ends) > 1 else earlier[: end + 1]
    started = [at(e) for e in rollout if STARTED.search(e.get("message", ""))]
    retired = [at(e) for e in rollout if RETIRED.search(e.get("message", ""))]
    if not started:
        return None, None
    if not retired or retired[-1] < started[0]:
        return at(earlier[end]) - started[0], None
    return retired[0] - started[0], at(earlier[end]) - retired[-1]


def plain(message: str) -> str:
    """Shorten what ECS says for a reader: no ARN of a target group, the first of a task's id."""
    return TASK.sub(r"(task \1)", TARGET_GROUP.sub(r"\1", message))


def complaint(events: Sequence[Event]) -> str:
    """Return the last of these events that says why a task is unhealthy, "" when none does."""
    texts = [event.get("message", "") for event in events]
    return next((plain(text) for text in reversed(texts) if UNHEALTHY.search(text)), "")


def retired(events: Sequence[Event]) -> int:
    """Return how many tasks were told to go: those that drain are told of twice."""
    return max(total(STOPPED, events), total(DRAINING, events))


def since(events: Sequence[Event], start: float) -> list[Event]:
    """Return the events from `start` on, oldest first."""
    return sorted((event for event in events if at(event) >= start), key=at)


def total(pattern: re.Pattern[str], events: Sequence[Event]) -> int:
    """Return the sum of the numbers that the pattern finds."""
    found = (pattern.search(event.get("message", "")) for event in events)
    return sum(int(next(filter(None, match.groups()))) for match in found if match)


def seen(event: Event) -> Seen:
    message = event.get("message", "")
    return Seen(at(event), message, bool(TROUBLE.search(message)))


def at(event: Event) -> float:
    """Return when an event happened, in seconds since the epoch."""
    return event["createdAt"].timestamp()


def ident(event: Event) -> str:
    return event.get("id", "") or f"{at(event)} {event.get('message')}"
