"""Run a one-off task to its end: start it, stream its log, return how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.deploy.events import Listener, TaskLogged, TaskMoved
from kaiun.deploy.evidence import culprit
from kaiun.deploy.logplace import Place, containers, place
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import LogEvent, Task

FIRST_S, SLOWEST_S, GROWTH = 0.4, 2.0, 1.25
AWAY_S = 120.0
REASON = "stopped by kaiun"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a one-off task ended. `exit_code` is None when its container never ran."""

    name: str
    task: str
    exit_code: int | None
    reason: str
    container: str = ""
    timed_out: bool = False
    last_lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and not self.timed_out


@dataclass(slots=True)
class OneOff:
    """Runs tasks in one cluster. Sleeps and time come from outside."""

    aws: Aws
    cluster: str
    listener: Listener
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    settle_s: float = 5.0  # lines may be filed that long after the task stopped

    def run(
        self,
        name: str,
        request: Mapping[str, object],
        definition: Mapping[str, object],
        timeout_s: float | None = None,
    ) -> Outcome:
        """Run the task to its end; after `timeout_s` stop it.

        `definition` is the task definition that runs (for container and log). On Ctrl-C the task
        is stopped: nobody would wait for it any more. Raises AwsError when it cannot be placed.
        """
        container = str(containers(definition)[0]["name"])
        task = self._start(name, request)
        log = _Tail(self.aws, place(definition, container), _id(task))
        try:
            task, timed_out = self._to_the_end(name, task, log, timeout_s)
        except KeyboardInterrupt:
            self.aws.ecs.stop_task(self.cluster, task["taskArn"], REASON)
            raise
        self._drain(name, log)
        return _outcome(name, task, container, timed_out, log.last)

    def _start(self, name: str, request: Mapping[str, object]) -> Task:
        started = self.aws.ecs.run_task(request)
        if not started.tasks:
            why = started.failures[0].get("reason", "?") if started.failures else "no task"
            raise AwsError(
                f"ECS cannot place the task {name}: {why}",
                where=f"ecs:RunTask {self.cluster}",
                hint="see whether the cluster has room for its cpu, memory and ports",
            )
        task = started.tasks[0]
        self.listener(TaskMoved(name, _id(task), task.get("lastStatus", "")))
        return task

    def _to_the_end(
        self, name: str, task: Task, log: _Tail, timeout_s: float | None
    ) -> tuple[Task, bool]:
        began, wait, timed_out = self.clock(), FIRST_S, False
        while task.get("lastStatus") != "STOPPED":
            self.sleep(wait)
            wait = min(wait * GROWTH, SLOWEST_S)
            before, task = task, self._describe(task)
            if task.get("lastStatus") != before.get("lastStatus"):
                self.listener(TaskMoved(name, _id(task), task.get("lastStatus", "")))
                wait = FIRST_S
            if self._tell(name, log, task):
                wait = FIRST_S
            late = timeout_s is not None and self.clock() - began > timeout_s
            if late and not timed_out:
                self.aws.ecs.stop_task(self.cluster, task["taskArn"], f"{REASON}: timeout")
                timed_out = True
        return task, timed_out

    def _describe(self, task: Task) -> Task:
        began = self.clock()
        while True:
            try:
                found = self.aws.ecs.describe_tasks(self.cluster, [task["taskArn"]])
                break
            except AwsError as problem:
                away = problem.code in {"Unreachable", "Timeout", "ThrottlingException"}
                if not away or self.clock() - began > AWAY_S:
                    raise
                self.sleep(SLOWEST_S)
        if not found:
            raise AwsError("the task has vanished", where=task["taskArn"])
        return found[0]

    def _tell(self, name: str, log: _Tail, task: Task) -> bool:
        if task.get("lastStatus") in {"PROVISIONING", "PENDING"}:
            return False
        lines = log.more()
        if lines:
            self.listener(TaskLogged(name, lines))
        return bool(lines)

    def _drain(self, name: str, log: _Tail) -> None:
        """Read on after the end until no line has come for `settle_s`."""
        quiet_since = self.clock()
        while self.clock() - quiet_since < self.settle_s:
            if lines := log.more():
                self.listener(TaskLogged(name, lines))
                quiet_since = self.clock()
            self.sleep(self.settle_s / 2)


@dataclass(slots=True)
class _Tail:
    """Reads one stream on and on; keeps the last lines for an error."""

    aws: Aws
    where: Place | None
    task: str
    token: str = ""
    last: list[str] = field(default_factory=list)

    def more(self) -> tuple[LogEvent, ...]:
        if self.where is None:
            return ()
        page = self.aws.logs.read(self.where.group, self.where.stream(self.task), token=self.token)
        self.token = page.token
        self.last = (self.last + [event.message.rstrip("\n") for event in page.events])[-20:]
        return page.events


def _outcome(name: str, task: Task, container: str, timed_out: bool, last: list[str]) -> Outcome:
    blamed = culprit(task) or {}
    own = next((c for c in task.get("containers", []) if c.get("name") == container), blamed)
    reasons = filter(None, (task.get("stoppedReason", ""), blamed.get("reason", "")))
    reason = " · ".join(dict.fromkeys(reasons))
    return Outcome(name, _id(task), own.get("exitCode"), reason, container, timed_out, tuple(last))


def _id(task: Task) -> str:
    return task["taskArn"].rpartition("/")[2]
