"""When to ask ECS again. Pure.

Two wishes pull apart: few calls (AWS throttles, and each poll of an account with many deployers
costs everybody) and no lag at the end. So polls are sparse while nothing can have happened and
quick around the moments at which something should:

- the old tasks' end: the deregistration delay after ECS began to retire them, or as long as
  the service's last rollout needed for it (its events tell);
- the begin of the retirement: as long after the start as in the last rollout;
- without a history and without a load balancer: the time that ECS wants a task to run before it
  calls it healthy.

In between, the distance grows with the age of the watch, bounded so that a crash is seen within
seconds of it. Once the new tasks serve and the old ones only drain, nothing else is to be expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kaiun.deploy.rollout import Progress


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `steady_s`: ECS calls a task without any health check healthy after that."""

    first_s: float = 2.0  # at least so far apart; less where a rollout may be quicker
    growth: float = 0.7  # a poll's distance, as a share of the rollout's age
    slowest_s: float = 8.0
    draining_s: float = 20.0  # slowest while old tasks drain: the new ones serve already
    quick_s: float = 0.8
    early_s: float = 0.3  # begin to look this long before the expected moment
    steady_s: float = 40.0


FADING = 0.2  # how fast interest in a moment fades, as a share of its age


def next_poll(rollouts: Iterable[Progress], now: float, pace: Pace) -> float:
    """Return in how many seconds to ask again about these rollouts (one call asks for all)."""
    waits = [_wait(rollout, now, pace) for rollout in rollouts if not rollout.over]
    return min(waits, default=pace.first_s)


def _wait(rollout: Progress, now: float, pace: Pace) -> float:
    age = max(0.0, now - max(rollout.follow.created_at, rollout.watched_at))
    slowest = pace.draining_s if rollout.retired_at is not None else pace.slowest_s
    slow = min(max(_first(rollout, pace), pace.growth * age), slowest)
    if rollout.serves:
        slow = slowest
    return min([slow, *(_near(moment, now, pace) for moment in moments(rollout, pace))])


def _first(rollout: Progress, pace: Pace) -> float:
    expected = rollout.boot_s or 0.0
    return min(pace.first_s, max(pace.quick_s, expected / 4))


def _near(moment: float, now: float, pace: Pace) -> float:
    """Sleep until shortly before the moment; after it look quickly, ever slower with its age."""
    ahead = moment - pace.early_s - now
    return ahead if ahead > 0 else max(pace.quick_s, FADING * (now - moment))


def moments(rollout: Progress, pace: Pace) -> list[float]:
    """Return when something should happen to this rollout, as far as can be told.

    When exactly the retirement of old tasks begins matters only if it is short: otherwise the
    event's own time, read at leisure, tells when it will end.
    """
    retire_s = rollout.follow.drain_s if rollout.retire_s is None else rollout.retire_s
    if rollout.retired_at is not None:
        return [rollout.retired_at + retire_s]
    if retire_s > pace.slowest_s:
        return []
    if rollout.boot_s is not None:
        return [rollout.follow.created_at + rollout.boot_s]
    if rollout.running_at is not None and not rollout.follow.drain_s:
        return [rollout.running_at + pace.steady_s]
    return []
