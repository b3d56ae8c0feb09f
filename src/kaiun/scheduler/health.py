"""When a task counts as healthy. Source: DeploymentConfiguration.minimumHealthyPercent."""

from __future__ import annotations

from enum import Enum
from typing import Final

from kaiun.scheduler.model import Deployment, Health, ServiceState, TargetState, Task, TaskStatus


class Verdict(Enum):
    WAITING = 0  # not there yet; nothing is known against it
    HEALTHY = 1
    UNHEALTHY = 2


WAITING: Final = Verdict.WAITING
HEALTHY: Final = Verdict.HEALTHY
UNHEALTHY: Final = Verdict.UNHEALTHY
_RUNNING: Final = TaskStatus.RUNNING
_CONTAINERS_PASS: Final = Health.HEALTHY
_CONTAINERS_FAIL: Final = Health.UNHEALTHY
_TARGET_PASSES: Final = TargetState.HEALTHY
_TARGET_FAILS: Final = TargetState.UNHEALTHY


def judge(task: Task, deployment: Deployment, service: ServiceState, now: float) -> Verdict:
    """Return what a task is worth now.

    Without a load balancer and a healthCheck it is healthy `steady_s` after RUNNING; else the
    healthCheck, the targets, or both have to say so. Within the grace period a failing check
    says nothing, a passing one does.
    """
    since = task.running_since
    if task.last_status is not _RUNNING or since is None:
        return WAITING
    if fails(task):
        return WAITING if now - since < service.grace_period_s else UNHEALTHY
    if deployment.has_health_check and task.health is not _CONTAINERS_PASS:
        return WAITING
    if deployment.has_load_balancer:
        return HEALTHY if _serves(task) else WAITING
    if deployment.has_health_check or now - since >= service.steady_s:
        return HEALTHY
    return WAITING


def fails(task: Task) -> bool:
    """Return whether any check of a task fails, whatever the grace period says."""
    if task.health is _CONTAINERS_FAIL:
        return True
    for target in task.targets:  # noqa: SIM110  (a generator costs the tick a third more)
        if target.state is _TARGET_FAILS:
            return True
    return False


def verdict_due(task: Task, deployment: Deployment, service: ServiceState) -> float | None:
    """Return when time alone can change the verdict on a task, if it can."""
    since = task.running_since
    if task.last_status is not _RUNNING or since is None:
        return None
    if fails(task):
        return since + service.grace_period_s
    if deployment.has_health_check or deployment.has_load_balancer:
        return None
    return since + service.steady_s


def _serves(task: Task) -> bool:
    for target in task.targets:
        if target.state is not _TARGET_PASSES:
            return False
    return bool(task.targets)
