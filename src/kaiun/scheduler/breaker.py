"""The deployment circuit breaker, and the back-off of a service whose tasks do not start.

Sources: DeploymentCircuitBreaker, ThresholdConfiguration, Deployment.failedTasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaiun.scheduler import events
from kaiun.scheduler.model import (
    Action,
    Attempts,
    Breaker,
    Deployment,
    Emit,
    RollBack,
    RolloutState,
    ServiceState,
    SetAttempts,
    SetRollout,
    StopCode,
    Task,
    ThresholdKind,
)

BACK_OFF_FIRST_S = 10.0
BACK_OFF_LAST_S = 900.0
PLACEMENT_PATIENCE_S = 50.0  # as long as this placement is tried again soon …
PLACEMENT_SOON_S = 5.0
PLACEMENT_LATER_S = 300.0  # … and then at this interval

_OWN_END = (StopCode.TASK_FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED)


def threshold(breaker: Breaker, desired_count: int) -> int:
    """Return how many failed tasks fail a deployment: 50 % of 20, at least 3, at most 200 → 10."""
    if breaker.kind is ThresholdKind.COUNT:
        return max(1, breaker.value)
    share = -(-desired_count * breaker.value // 100)
    if breaker.kind is ThresholdKind.UNBOUNDED_PERCENT:
        return max(1, share)
    return min(max(share, 3), 200)


def is_failure(task: Task) -> bool:
    """Return whether the end of a task speaks against its deployment.

    A task that ended by itself before it was ever healthy does: it did not reach RUNNING
    (stage 1), or it ran and crashed. Those stopped for their health (stage 2) are counted
    when they are stopped, not when they have ended.
    """
    return task.stop_code in _OWN_END and not task.was_healthy


def count(service: ServiceState, failed: int, now: float) -> list[Action]:
    """Return the actions that follow when `failed` more tasks of PRIMARY have failed."""
    primary = service.primary
    before = back_off_s(service, primary.attempts.failures)
    failures = primary.attempts.failures + failed
    delay = back_off_s(service, failures)
    attempts = replace(
        primary.attempts,
        failures=failures,
        retry_at=max(primary.attempts.retry_at, now + delay if delay else 0.0),
    )
    actions: list[Action] = [SetAttempts(primary.id, primary.failed_tasks + failed, attempts)]
    if delay > before and not _trips(service, primary, primary.failed_tasks + failed):
        actions.append(Emit(events.inconsistent(service.name)))
    return actions


def back_off_s(service: ServiceState, failures: int) -> float:
    """Return how long to wait after so many failures in a row: 0 …, 10, 20, 40 … 900 s.

    It begins where a circuit breaker trips, and doubles with each round of the desired count.
    """
    free = threshold(
        service.breaker if service.breaker.enable else Breaker(), service.desired_count
    )
    if failures < free:
        return 0.0
    rounds = min((failures - free) // max(1, service.desired_count), 16)
    return min(BACK_OFF_FIRST_S * 2.0**rounds, BACK_OFF_LAST_S)


def recover(service: ServiceState, healthy: int, hopeful: int) -> list[Action]:
    """Return the actions that follow when `healthy` of `hopeful` tasks of PRIMARY are healthy.

    The first one resets failedTasks (where resetOnHealthyTask), all of them end the back-off.
    Once all are placed, so is what was remembered of their placement.
    """
    primary = service.primary
    forgive = healthy > 0 and service.breaker.reset_on_healthy_task
    failed_tasks = 0 if forgive else primary.failed_tasks
    attempts = primary.attempts
    if healthy >= service.desired_count:
        attempts = Attempts()
    elif hopeful >= service.desired_count and attempts.unplaced_since is not None:
        attempts = replace(attempts, unplaced_since=None)
    if failed_tasks == primary.failed_tasks and attempts == primary.attempts:
        return []
    return [SetAttempts(primary.id, failed_tasks, attempts)]


def trip(service: ServiceState) -> list[Action]:
    """Return the actions of a tripping breaker; none while it holds."""
    if not _trips(service, service.primary, service.primary.failed_tasks):
        return []
    return fail(service, events.BREAKER, roll_back=service.breaker.rollback)


def fail(service: ServiceState, cause: events.Cause, *, roll_back: bool) -> list[Action]:
    """Return the actions that end PRIMARY's rollout as FAILED, whatever the cause.

    Rolls back to the latest COMPLETED deployment; where there is none PRIMARY stays FAILED
    and starts nothing any more.
    """
    primary, completed = service.primary, service.last_completed
    actions: list[Action] = [
        SetRollout(primary.id, RolloutState.FAILED, cause.reason),
        Emit(events.failed(service.name, primary.id, cause.event)),
    ]
    if roll_back and completed is not None and completed.id != primary.id:
        why = cause.rolling_back(completed.id)
        actions += [
            RollBack(primary.id, completed.id),
            SetRollout(completed.id, RolloutState.IN_PROGRESS, why),
            Emit(events.rolling_back(service.name, completed.id)),
        ]
    return actions


def unplaced(service: ServiceState, now: float) -> list[Action]:
    """Return the actions that follow when no container instance had room for a task.

    Placement is tried again soon for 50 s, then every 5 minutes; only from then on does it
    count as a failure of the deployment, since a task that stops may be what it waits for.
    """
    primary = service.primary
    since = primary.attempts.unplaced_since
    first = since is None
    late = since is not None and now - since >= PLACEMENT_PATIENCE_S
    attempts = replace(
        primary.attempts,
        unplaced_since=now if since is None else since,
        retry_at=now + (PLACEMENT_LATER_S if late else PLACEMENT_SOON_S),
    )
    actions: list[Action] = [SetAttempts(primary.id, primary.failed_tasks + late, attempts)]
    if first or late:
        actions.append(Emit(events.unplaceable(service.name)))
    return actions


def failures_among(ended: Sequence[Task], primary: Deployment) -> int:
    """Return how many of the ended tasks are failures of PRIMARY."""
    return sum(1 for task in ended if task.deployment_id == primary.id and is_failure(task))


def _trips(service: ServiceState, primary: Deployment, failed_tasks: int) -> bool:
    return (
        service.breaker.enable
        and primary.rollout_state is RolloutState.IN_PROGRESS
        and failed_tasks >= threshold(service.breaker, service.desired_count)
    )
