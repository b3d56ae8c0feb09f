"""The arithmetic of a rolling update: how many tasks to start, and which to stop.

Source: DeploymentConfiguration (minimumHealthyPercent is rounded up, maximumPercent down).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kaiun.scheduler.census import Census
from kaiun.scheduler.model import RolloutState, ServiceState, Task


@dataclass(frozen=True, slots=True)
class Moves:
    """What the arithmetic asks for. `blocked`: a task is missing and nothing may move."""

    start: int
    scale_in: tuple[Task, ...]  # because there are too many, or they are of an old deployment
    replace: tuple[Task, ...]  # because they are unhealthy
    blocked: bool

    @property
    def any(self) -> bool:
        return bool(self.start or self.scale_in or self.replace)


def lower_limit(desired_count: int, minimum_healthy_percent: int) -> int:
    """Return how many tasks must stay: 2 of which 75 % → 2."""
    return -(-desired_count * minimum_healthy_percent // 100)


def upper_limit(desired_count: int, maximum_percent: int) -> int:
    """Return how many tasks may be RUNNING or PENDING: 3 of which 125 % → 3."""
    return desired_count * maximum_percent // 100


def moves(service: ServiceState, census: Census, now: float) -> Moves:
    """Return what brings the service closer to what is desired without leaving its limits."""
    return _Plan(service, census, now).moves()


class _Plan:
    """The counts of one decision, as it takes shape."""

    def __init__(self, service: ServiceState, census: Census, now: float) -> None:
        primary = service.primary
        self.census = census
        self.desired = service.desired_count
        self.lower = lower_limit(self.desired, service.minimum_healthy_percent)
        self.upper = upper_limit(self.desired, service.maximum_percent)
        self.live = census.live
        self.running = census.running
        self.healthy = census.healthy
        self.frozen = primary.rollout_state is RolloutState.FAILED
        self.held = now < primary.attempts.retry_at
        self.unplaced = primary.attempts.unplaced_since is not None
        self.need = 0 if self.frozen else max(0, self.desired - census.new.hopeful)
        self.scale_in: list[Task] = []
        self.replace: list[Task] = []

    def moves(self) -> Moves:
        self._stop_what_never_ran()
        self._stop_surplus()
        start = max(0, min(self.need, self.upper - self.live))
        missing = self.need if self.unplaced else self.need - start
        self._stop_old(missing - self._stop_unhealthy(missing))
        stops = self.scale_in or self.replace
        still = missing > 0 and not stops and not self.census.unsettled and not self.unplaced
        return Moves(
            start=0 if self.held else start,
            scale_in=tuple(self.scale_in),
            replace=tuple(self.replace),
            blocked=still and start == 0,
        )

    def _stop_what_never_ran(self) -> None:
        """Tasks of an old deployment that are not RUNNING serve nobody."""
        self._take(self.scale_in, oldest(free(self.census.old.pending)), running=False)

    def _stop_surplus(self) -> None:
        """Stop new tasks beyond the desired count: the least useful, then the youngest."""
        new = self.census.new
        extra = new.hopeful - self.desired
        if extra <= 0:
            return
        pending = youngest(free(new.pending))[:extra]
        waiting = youngest(free(new.waiting))[: extra - len(pending)]
        healthy = crowded(free(new.healthy), extra - len(pending) - len(waiting))
        self._take(self.scale_in, pending, running=False)
        self._take(self.scale_in, waiting)
        self._take(self.scale_in, healthy, healthy=True)

    def _stop_unhealthy(self, missing: int) -> int:
        """Stop unhealthy new tasks once they are replaced; one by one where there is no room."""
        new = self.census.new
        budget = 1 if missing > 0 else 0
        if new.size > self.desired or self.healthy >= self.desired:
            budget = len(new.unhealthy)
        return self._take(self.replace, oldest(new.unhealthy)[: self._spare(budget)])

    def _stop_old(self, missing: int) -> None:
        """Stop old tasks that new ones have replaced, or that are in the way of new ones.

        Full service comes first: the minimum is used up only where nothing could start else.
        """
        old = self.census.old
        weak = [*oldest(old.unhealthy), *oldest(free(old.waiting))]
        budget = len(weak) if self.healthy >= self.desired else max(0, missing)
        missing -= self._take(self.scale_in, weak[: self._spare(budget)])
        surplus = self.healthy - self.desired
        in_the_way = min(missing, self.healthy - self.lower)
        chosen = oldest(free(old.healthy))[: max(0, surplus, in_the_way)]
        self._take(self.scale_in, chosen, healthy=True)

    def _spare(self, wanted: int) -> int:
        """Return how many of `wanted` unhealthy tasks may stop: enough have to keep running."""
        return max(0, min(wanted, self.running - self.lower))

    def _take(
        self,
        into: list[Task],
        tasks: Sequence[Task],
        *,
        running: bool = True,
        healthy: bool = False,
    ) -> int:
        into.extend(tasks)
        self.live -= len(tasks)
        self.running -= len(tasks) if running else 0
        self.healthy -= len(tasks) if healthy else 0
        return len(tasks)


def free(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that scale-in protection does not keep."""
    return [task for task in tasks if not task.protected]


def crowded(tasks: Iterable[Task], count: int) -> list[Task]:
    """Return `count` tasks to stop: of the fullest zone, the fullest instance, the youngest."""
    left = youngest(tasks)
    zones = Counter(task.zone for task in left)
    instances = Counter(task.instance for task in left)
    order: list[Task] = []
    while left and len(order) < count:
        chosen = max(left, key=lambda task: (zones[task.zone], instances[task.instance]))
        left.remove(chosen)
        zones[chosen.zone] -= 1
        instances[chosen.instance] -= 1
        order.append(chosen)
    return order


def oldest(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks in the order to stop them where all are worth the same."""
    return sorted(tasks, key=lambda task: (task.created_at, task.id))


def youngest(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks in the order to stop them where those that have proved themselves stay."""
    return sorted(tasks, key=lambda task: (-task.created_at, task.id))
