"""Find out why a release fails: its stopped tasks, and the last words of their containers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaiun.deploy.evidence import (
    Failure,
    failure_of,
    proves_bad,
    stopped_by_itself,
    stopped_since,
)
from kaiun.deploy.lastwords import last_words, start_failure
from kaiun.deploy.logplace import place
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.deploy.rollout import Progress

LOG_LINES = 20  # shown
LOG_LINES_READ = 200
LOG_DEADLINE_S = 3.0
LOG_POLL_S = 0.3
TaskDefinition = Mapping[str, object]


@dataclass(slots=True)
class Examiner:
    """Looks at the stopped tasks of a suspicious rollout.

    `task_definitions` maps ARN → what was registered (for the place of the log). Log lines can
    arrive a moment after the task stopped: they are waited for, LOG_DEADLINE_S at most.
    """

    aws: Aws
    cluster: str
    task_definitions: Mapping[str, TaskDefinition]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    failures: dict[str, tuple[Failure, ...]] = field(default_factory=dict)

    def examine(self, progress: Progress) -> bool:
        """Note the failed tasks of this rollout; tell whether they prove the release bad."""
        failures = self.failed_tasks(progress)
        self.failures[progress.follow.process] = failures
        return proves_bad(
            failures,
            desired=progress.desired,
            alive=progress.new + progress.pending,
            healthy=progress.healthy,
        )

    def failed_tasks(self, progress: Progress) -> tuple[Failure, ...]:
        """Return the tasks of the deployment that stopped by themselves, first failure first.

        Those that stopped before we began to follow it say nothing about it now.
        """
        follow = progress.follow
        arns = self.aws.ecs.list_tasks(self.cluster, service=follow.service, status="STOPPED")
        tasks = self.aws.ecs.describe_tasks(self.cluster, arns) if arns else []
        mine = [
            task
            for task in tasks
            if task.get("startedBy") == follow.deployment and stopped_since(task, follow.created_at)
        ]
        found = [failure_of(follow.service, task) for task in mine if stopped_by_itself(task)]
        return tuple(sorted(found, key=lambda failure: failure.stopped_at))

    def with_log(self, failure: Failure, task_definition: str, *, patient: bool = True) -> Failure:
        """Return the failure with the last lines that its container wrote."""
        definition = self.task_definitions.get(task_definition)
        where = place(definition, failure.container) if definition else None
        if where is None:
            return failure
        ran = failure.exit_code is not None
        patience = LOG_DEADLINE_S if patient and ran else 0.0
        lines = self._last_lines(where.group, where.stream(failure.task), patience)
        return replace(failure, log=lines, reason=start_failure(lines) or failure.reason)

    def _last_lines(self, group: str, stream: str, patience: float) -> tuple[str, ...]:
        end = self.clock() + patience
        while True:
            try:
                events = self.aws.logs.last(group, stream, LOG_LINES_READ)
            except AwsError as problem:
                return (f"(its log cannot be read: {problem.message})",)
            if events or self.clock() >= end:
                return last_words((event.message.rstrip("\n") for event in events), LOG_LINES)
            self.sleep(LOG_POLL_S)


def evidence_lines(failures: Sequence[Failure]) -> list[str]:
    """Return what an error shows: each way to fail once, and the log of the first that has one."""
    ways = Counter((f.container, f.exit_code, f.reason) for f in failures)
    lines = []
    for failure in failures:
        times = ways.pop((failure.container, failure.exit_code, failure.reason), 0)
        if times:
            more = f" (and {times - 1} more like it)" if times > 1 else ""
            lines.append(failure.sentence() + more)
    log = next((failure.log for failure in failures if failure.log), ())
    return lines + [f"  | {line}" for line in log]
