"""Restart policies: which containers are started again in place, without replacing their task.

Source: ECS developer guide, "Restart individual containers in Amazon ECS tasks with container
restart policies"; the agent's `restart_tracker.go`: the period counts from the last start.
"""

from __future__ import annotations

from dataclasses import replace

from kaiun.scheduler.model import Health, TaskStatus
from kaiun.scheduler.view import ContainerStatus, ContainerView, RestartContainer, TaskView


def may_restart(container: ContainerView) -> bool:
    """Return whether a container that exited is to run again."""
    policy, started, finished = container.restart, container.started_at, container.finished_at
    if policy is None or container.status is not ContainerStatus.EXITED:
        return False
    if container.exit_code is None or container.exit_code in policy.ignored_exit_codes:
        return False
    return started is not None and finished is not None and finished - started >= policy.period_s


def revive(task: TaskView) -> tuple[TaskView, tuple[RestartContainer, ...]]:
    """Return the task with those containers as if they ran, and the commands that make them run."""
    if task.desired_status is not TaskStatus.RUNNING:
        return task, ()
    again = [c.name for c in task.containers if may_restart(c)]
    containers = tuple(_running(c) if c.name in again else c for c in task.containers)
    return replace(task, containers=containers), tuple(RestartContainer(name) for name in again)


def _running(container: ContainerView) -> ContainerView:
    return replace(
        container,
        status=ContainerStatus.RUNNING,
        health=Health.UNKNOWN,
        exit_code=None,
        reason=None,
    )
