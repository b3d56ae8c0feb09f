"""The tasks of a service, counted once a tick and sorted by what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kaiun.scheduler.health import HEALTHY, UNHEALTHY, judge
from kaiun.scheduler.model import ServiceState, Task, TaskStatus

_STOPPED: Final = TaskStatus.STOPPED
_RUNNING: Final = TaskStatus.RUNNING


@dataclass(slots=True)
class Group:
    """Tasks that are to run, by verdict. `pending` are those that are not RUNNING yet."""

    pending: list[Task] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    healthy: list[Task] = field(default_factory=list)
    unhealthy: list[Task] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.pending) + len(self.waiting) + len(self.healthy) + len(self.unhealthy)

    @property
    def hopeful(self) -> int:
        """How many are healthy or may yet be."""
        return len(self.pending) + len(self.waiting) + len(self.healthy)


@dataclass(slots=True)
class Census:
    """`new`: of the PRIMARY deployment and staying. `old`: all others that run."""

    new: Group = field(default_factory=Group)
    old: Group = field(default_factory=Group)
    stopping: list[Task] = field(default_factory=list)  # on their way to STOPPED
    ended: list[Task] = field(default_factory=list)  # STOPPED and not accounted for
    proven: list[Task] = field(default_factory=list)  # healthy for the first time

    @property
    def live(self) -> int:
        """RUNNING + PENDING, what maximumPercent limits."""
        return self.new.size + self.old.size

    @property
    def healthy(self) -> int:
        return len(self.new.healthy) + len(self.old.healthy)

    @property
    def running(self) -> int:
        return self.live - len(self.new.pending) - len(self.old.pending)

    @property
    def unsettled(self) -> bool:
        """Whether something is under way that will change the counts by itself."""
        new, old = self.new, self.old
        return bool(new.pending or new.waiting or old.pending or old.waiting or self.stopping)


def take(service: ServiceState, tasks: Sequence[Task], now: float) -> Census:
    """Return the census of a service. Tasks of an unknown deployment count as old."""
    census = Census()
    deployments = {deployment.id: deployment for deployment in service.deployments}
    primary = service.deployments[0]
    for task in tasks:
        if task.last_status is _STOPPED:
            if not task.settled:
                census.ended.append(task)
        elif task.desired_status is _STOPPED:
            census.stopping.append(task)
        else:
            deployment = deployments.get(task.deployment_id, primary)
            staying = task.deployment_id == primary.id and not task.leaving
            group = census.new if staying else census.old
            verdict = judge(task, deployment, service, now)
            if verdict is HEALTHY:
                group.healthy.append(task)
                if not task.was_healthy:
                    census.proven.append(task)
            elif verdict is UNHEALTHY:
                group.unhealthy.append(task)
            elif task.last_status is _RUNNING:
                group.waiting.append(task)
            else:
                group.pending.append(task)
    return census
