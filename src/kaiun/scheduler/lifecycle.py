"""The life of one task, from its definition and what is observed of its containers.

PROVISIONING → PENDING → ACTIVATING → RUNNING → DEACTIVATING → STOPPING → DEPROVISIONING →
STOPPED, one status a step: call again at once when the status has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kaiun.scheduler import events
from kaiun.scheduler.dependencies import may_start, may_stop, next_timeout, unmet
from kaiun.scheduler.model import Health, StopCode, TargetState, TaskStatus
from kaiun.scheduler.restarts import revive
from kaiun.scheduler.view import (
    Command,
    ContainerStatus,
    ContainerView,
    DeregisterTargets,
    Prepare,
    RegisterTargets,
    Remove,
    StartContainer,
    Step,
    StopContainer,
    TaskView,
)

_OVER = (ContainerStatus.EXITED, ContainerStatus.GONE)
_STARTED = (ContainerStatus.RUNNING, *_OVER)
_BEEN_UP = (TaskStatus.ACTIVATING, TaskStatus.RUNNING)
_OUT_OF_MEMORY = "OutOfMemoryError"


def step(task: TaskView, now: float) -> Step:
    """Return the task's next statuses and what is to be done now."""
    observed = _without_lost(task)
    task, restarts = revive(observed)
    if task.desired_status is TaskStatus.RUNNING:
        task = _judge(task, now)
    if task.desired_status is TaskStatus.RUNNING:
        said = _toward_running(task, now)
        return replace(said, commands=(*said.commands, *restarts))
    return _toward_stopped(replace(task, containers=observed.containers))


def health_of(containers: Iterable[ContainerView]) -> Health:
    """Return a task's healthStatus: that of its essential containers with a healthCheck."""
    states = {c.health for c in containers if c.essential and c.has_health_check}
    if Health.UNHEALTHY in states:
        return Health.UNHEALTHY
    return Health.HEALTHY if states == {Health.HEALTHY} else Health.UNKNOWN


def _without_lost(task: TaskView) -> TaskView:
    """A container of a task that was up and is nowhere now is gone, not still to be started."""
    if task.last_status not in _BEEN_UP:
        return task
    containers = tuple(
        replace(c, status=ContainerStatus.GONE) if c.status is ContainerStatus.ABSENT else c
        for c in task.containers
    )
    return replace(task, containers=containers)


def _judge(task: TaskView, now: float) -> TaskView:
    """Return the task with desiredStatus STOPPED if it cannot go on, and why."""
    failure = task.failure or _start_failure(task.containers)
    if failure:
        return _stop(task, StopCode.TASK_FAILED_TO_START, failure)
    over = [c for c in task.containers if c.essential and c.status in _OVER]
    if over or task.cut_off:
        return _stop(task, StopCode.ESSENTIAL_CONTAINER_EXITED, _reason(over))
    problem = unmet(task.containers, now)
    if problem:
        return _stop(task, StopCode.TASK_FAILED_TO_START, problem)
    return task


def _start_failure(containers: Iterable[ContainerView]) -> str | None:
    return next((c.failure for c in containers if c.failure), None)


def _reason(over: Iterable[ContainerView]) -> str:
    reasons = (c.reason or "" for c in over)
    return next((r for r in reasons if r.startswith(_OUT_OF_MEMORY)), events.ESSENTIAL_REASON)


def _stop(task: TaskView, code: StopCode, reason: str) -> TaskView:
    return replace(task, desired_status=TaskStatus.STOPPED, stop_code=code, stopped_reason=reason)


def _toward_running(task: TaskView, now: float) -> Step:
    status = task.last_status
    if status is TaskStatus.PROVISIONING:
        return _say(task, TaskStatus.PENDING)
    if status is TaskStatus.PENDING:
        return _start(task, now)
    missing = len(task.targets) < task.target_groups
    commands = (RegisterTargets(),) if missing else ()
    if status is TaskStatus.ACTIVATING and not missing:
        status = TaskStatus.RUNNING
    return _say(task, status, commands)


def _start(task: TaskView, now: float) -> Step:
    if not task.prepared:
        return _say(task, TaskStatus.PENDING, (Prepare(),))
    if all(c.status in _STARTED for c in task.containers):
        return _say(task, TaskStatus.ACTIVATING)
    by_name = {c.name: c for c in task.containers}
    ready = [c for c in task.containers if c.status not in _STARTED and may_start(c, by_name)]
    said = _say(task, TaskStatus.PENDING, tuple(StartContainer(c.name) for c in ready))
    return replace(said, wake_at=next_timeout(task.containers, now))


def _toward_stopped(task: TaskView) -> Step:
    status = task.last_status
    if status in (TaskStatus.PROVISIONING, TaskStatus.PENDING):
        return _say(task, TaskStatus.STOPPING)
    if status in _BEEN_UP:
        return _say(task, TaskStatus.DEACTIVATING, _deregister(task))
    if status is TaskStatus.DEACTIVATING:
        drained = not task.targets or _dead(task)
        return _say(task, TaskStatus.STOPPING if drained else status, _deregister(task))
    if status is TaskStatus.STOPPING:
        return _stop_containers(task)
    if status is TaskStatus.DEPROVISIONING and not task.removed:
        return _say(task, status, (Remove(),))
    return _say(task, TaskStatus.STOPPED)


def _deregister(task: TaskView) -> tuple[Command, ...]:
    serving = any(target.state is not TargetState.DRAINING for target in task.targets)
    return (DeregisterTargets(),) if serving else ()


def _dead(task: TaskView) -> bool:
    """Nobody is left to answer the connections that draining would wait for."""
    return any(c.essential and c.status in _OVER for c in task.containers)


def _stop_containers(task: TaskView) -> Step:
    live = [c for c in task.containers if c.status is ContainerStatus.RUNNING]  # others: Remove
    if not live:
        return _say(task, TaskStatus.DEPROVISIONING)
    turn = [c for c in live if may_stop(c, live)]
    commands = tuple(StopContainer(c.name, c.stop_timeout_s) for c in turn)
    return _say(task, TaskStatus.STOPPING, commands)


def _say(task: TaskView, status: TaskStatus, commands: tuple[Command, ...] = ()) -> Step:
    return Step(
        last_status=status,
        desired_status=task.desired_status,
        health=health_of(task.containers),
        stop_code=task.stop_code,
        stopped_reason=task.stopped_reason,
        commands=commands,
    )
