"""How many failures prove a release bad. Pure.

A task counts as failed when it stopped by itself: it could not start (TaskFailedToStart: image,
secrets, …), an essential container ended, or ECS stopped it for its health checks. Tasks that were
stopped by a user, by scaling, by a Spot interruption or by the end of their host do not count.

The rule, chosen so that a deploy fails within seconds of the evidence and yet survives one unlucky
task:

1. Nothing of the release ever served, and this was all of it (one task wanted, or no other of its
   tasks is left running or starting): the first failure proves it.
2. Nothing of it ever served, but other tasks of it are still on their way: the second failure does.
3. Some of it serves: a quarter of the wanted tasks, but at least two, must have failed. (ECS's own
   breaker wants half, at least three.)

A failure that smells of the surroundings (a pull that timed out, an agent that went away) never
proves anything alone: rule 1 then asks for a second one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from kaiun.deploy.eventlog import plain

if TYPE_CHECKING:
    from kaiun.aws.types import Task, TaskContainer

OWN_FAULT = {"TaskFailedToStart", "EssentialContainerExited"}
TRANSIENT = re.compile(
    r"time[d ]*out|i/o|connection (refused|reset)|too ?many ?requests|TLS handshake|temporar"
    r"|AGENT|ResourceInitializationError|no basic auth|unexpected EOF",
    re.IGNORECASE,
)
HEALTH = re.compile(r"health check", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """One task of the release that stopped by itself, and what is known of it."""

    service: str
    task: str  # its id
    container: str
    exit_code: int | None
    reason: str
    stop_code: str
    stopped_at: float
    log: tuple[str, ...] = ()

    @property
    def transient(self) -> bool:
        return self.exit_code is None and bool(TRANSIENT.search(self.reason))

    def sentence(self) -> str:
        """Return one line: task, container, exit code, reason."""
        code = "" if self.exit_code is None else f", exit code {self.exit_code}"
        place = f"container {self.container}" if self.container else "no container"
        return f"task {self.task}, {place}{code}: {self.reason}"


def stopped_by_itself(task: Task) -> bool:
    """Tell whether this stopped (or stopping) task counts as a failure."""
    code = task.get("stopCode", "")
    if code == "ServiceSchedulerInitiated":
        return bool(HEALTH.search(task.get("stoppedReason", "")))
    return code in OWN_FAULT


def stopped_since(task: Task, moment: float) -> bool:
    """Tell whether a task began to stop at a moment (seconds since the epoch) or later."""
    at = task.get("stoppingAt") or task.get("stoppedAt")
    return at is None or at.timestamp() >= moment


def failure_of(service: str, task: Task) -> Failure:
    """Return what a stopped task tells, without its log."""
    container = culprit(task)
    reasons = [task.get("stoppedReason", ""), (container or {}).get("reason", "")]
    stopped_at = task.get("stoppedAt") or task.get("stoppingAt")
    return Failure(
        service,
        task["taskArn"].rpartition("/")[2],
        (container or {}).get("name", ""),
        (container or {}).get("exitCode"),
        plain(" · ".join(dict.fromkeys(filter(None, reasons)))),
        task.get("stopCode", ""),
        stopped_at.timestamp() if stopped_at else 0.0,
    )


def culprit(task: Task) -> TaskContainer | None:
    """Return the container to blame: one with a reason, else one that ended badly."""
    containers = task.get("containers", [])
    ranked = sorted(containers, key=_blame, reverse=True)
    return ranked[0] if ranked else None


def proves_bad(failures: Sequence[Failure], *, desired: int, alive: int, healthy: int) -> bool:
    """Apply the rule above; `alive` counts the release's tasks that run or start now."""
    if healthy:
        return len(failures) >= max(2, ceil(desired / 4))
    if len(failures) >= 2:
        return True
    alone = desired <= 1 or alive == 0
    return bool(failures) and alone and not failures[0].transient


def _blame(container: TaskContainer) -> tuple[bool, bool, bool]:
    code = container.get("exitCode")
    return bool(container.get("reason")), code not in (None, 0, 137, 143), code not in (None, 0)
