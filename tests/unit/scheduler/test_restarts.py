"""Restart policies: who runs again in place, and who ends the task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kaiun.scheduler.lifecycle import step
from kaiun.scheduler.model import StopCode, TaskStatus
from kaiun.scheduler.view import (
    Command,
    Condition,
    ContainerStatus,
    ContainerView,
    Dependency,
    RestartContainer,
    RestartPolicy,
    Step,
    TaskView,
)

EXITED = ContainerView(
    "web",
    restart=RestartPolicy(period_s=60, ignored_exit_codes=(0, 3)),
    status=ContainerStatus.EXITED,
    exit_code=1,
    started_at=100.0,
    finished_at=160.0,
)


def run(*containers: ContainerView, **changes: object) -> Step:
    task = TaskView("t1", containers, last_status=TaskStatus.RUNNING, prepared=True)
    return step(replace(task, **changes), 200.0)  # type: ignore[arg-type]


def test_container_that_ran_for_its_period_runs_again_and_the_task_goes_on() -> None:
    said = run(EXITED)
    assert said.commands == (RestartContainer("web"),)
    assert (said.last_status, said.desired_status) == (TaskStatus.RUNNING, TaskStatus.RUNNING)


@pytest.mark.parametrize(
    "changes",
    [
        {"restart": None},
        {"exit_code": 0},
        {"exit_code": 3},
        {"exit_code": None},
        {"finished_at": 159.0},
        {"finished_at": None},
        {"status": ContainerStatus.GONE},
    ],
)
def test_container_that_may_not_run_again_ends_its_task(changes: dict[str, object]) -> None:
    said = run(replace(EXITED, **changes))  # type: ignore[arg-type]
    assert said.desired_status is TaskStatus.STOPPED
    assert said.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert not _restarts(said.commands)


def test_container_that_ran_out_of_memory_runs_again_too() -> None:
    assert _restarts(run(replace(EXITED, exit_code=137, reason="OutOfMemoryError: …")).commands)


def test_nothing_runs_again_in_a_task_that_stops() -> None:
    for status in TaskStatus:
        said = run(EXITED, last_status=status, desired_status=TaskStatus.STOPPED)
        assert not _restarts(said.commands)


def test_other_essential_container_that_exits_ends_the_task_without_a_restart() -> None:
    over = replace(EXITED, name="db", restart=None)
    said = run(EXITED, over)
    assert said.desired_status is TaskStatus.STOPPED
    assert not _restarts(said.commands)


def test_container_that_waits_for_completion_waits_on() -> None:
    first = replace(EXITED, name="init", essential=False)
    waits = ContainerView("web", depends_on=(Dependency("init", Condition.COMPLETE),))
    said = run(first, waits, last_status=TaskStatus.PENDING)
    assert said.commands == (RestartContainer("init"),)


def _restarts(commands: tuple[Command, ...]) -> list[Command]:
    return [command for command in commands if isinstance(command, RestartContainer)]
