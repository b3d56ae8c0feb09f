"""Reconcile one service: what to start, to stop and to say so that it becomes what is desired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kaiun.scheduler import breaker, fleets, rolling, shifting, success, upkeep
from kaiun.scheduler.census import Census, take
from kaiun.scheduler.health import verdict_due
from kaiun.scheduler.model import (
    Action,
    ConfirmTask,
    RetireDeployment,
    RolloutState,
    ServiceState,
    ServiceStatus,
    SetServiceStatus,
    SettleTask,
    Task,
    TaskStatus,
)
from kaiun.scheduler.transition import apply

_ACTIVE: Final = ServiceStatus.ACTIVE
_COMPLETED: Final = RolloutState.COMPLETED


def reconcile(service: ServiceState, tasks: Sequence[Task], now: float) -> list[Action]:
    """Return the actions of this tick, in the order in which they are to be carried out.

    `tasks` are all tasks of the service that are not both STOPPED and settled. Carry the
    actions out and store `transition.apply(service, actions, now)`, in one transaction.
    """
    census = take(service, tasks, now)
    if service.status is not _ACTIVE:
        return _drain(service, census)
    if _at_rest(service, census):
        return []
    actions = _account(service, census, now)
    after = apply(service, actions, now) if actions else service
    if after.primary.id != service.primary.id:
        census = take(after, tasks, now)
    actions += _roll(after, census, now)
    return actions


def unplaced(service: ServiceState, deployment_id: str, now: float) -> list[Action]:
    """Return the actions that follow when no container instance had room for a task.

    `service` is the one that `apply` returned for the actions with the StartTasks.
    """
    if service.primary.id == deployment_id:
        return breaker.unplaced(service, now)
    if service.primary.shift is None:
        return []
    deployment = next(d for d in service.deployments if d.id == deployment_id)
    return breaker.unplaced(fleets.alone(service, deployment, service.desired_count), now)


def due(service: ServiceState, tasks: Sequence[Task], now: float) -> float | None:
    """Return when `reconcile` may act next though nothing changes until then, if ever."""
    deployments = {deployment.id: deployment for deployment in service.deployments}
    primary = service.primary
    baked_at = success.baked_at(primary) or 0.0
    moments = (primary.attempts.retry_at, baked_at, *shifting.due(service))
    times = [at for at in moments if at > now]
    for task in tasks:
        deployment = deployments.get(task.deployment_id, primary)
        at = verdict_due(task, deployment, service)
        if at is not None and at > now and task.desired_status is TaskStatus.RUNNING:
            times.append(at)
    return min(times, default=None)


def _at_rest(service: ServiceState, census: Census) -> bool:
    """Return whether this is the steady state of before: the path that nearly every tick takes."""
    if not service.steady or len(service.deployments) != 1:
        return False
    primary = service.deployments[0]
    new = census.new
    return (
        len(new.healthy) == service.desired_count
        and primary.rollout_state is _COMPLETED
        and not primary.failed_tasks
        and not (new.pending or new.waiting or new.unhealthy)
        and not (census.ended or census.stopping or census.proven or census.old.size)
    )


def _account(service: ServiceState, census: Census, now: float) -> list[Action]:
    """Take note of tasks that ended or became healthy; the breaker may trip on it."""
    actions: list[Action] = [SettleTask(task.id) for task in census.ended]
    actions += [ConfirmTask(task.id) for task in census.proven]
    failed = breaker.failures_among(census.ended, service.primary)
    if failed:
        actions += breaker.count(service, failed, now)
    after = apply(service, actions, now)
    recovered = breaker.recover(after, len(census.new.healthy), census.new.hopeful)
    tripped = breaker.trip(apply(after, recovered, now))
    return [*actions, *recovered, *tripped]


def _roll(service: ServiceState, census: Census, now: float) -> list[Action]:
    if service.primary.shift is not None:
        return shifting.roll(service, census, now)
    moves = rolling.moves(service, census, now)
    actions = upkeep.report(service, census)
    actions += upkeep.move(service, moves, now, why=service.primary.id)
    actions += _finish(service, census, now, settled=not moves.any)
    after = apply(service, actions, now)
    actions += upkeep.remember(service, after, census, moving=moves.any, blocked=moves.blocked)
    return actions


def _finish(service: ServiceState, census: Census, now: float, *, settled: bool) -> list[Action]:
    """Complete the rollout once it has succeeded, and let go of deployments without tasks."""
    actions = success.judge(service, census, now, settled=settled)
    if len(service.deployments) > 1:
        gone = upkeep.without_tasks(service, census)
        actions += [RetireDeployment(deployment.id) for deployment in gone]
    return actions


def _drain(service: ServiceState, census: Census) -> list[Action]:
    """Stop everything; the service is INACTIVE once nothing is left."""
    if service.status is ServiceStatus.INACTIVE:
        return []
    groups = (census.new, census.old)
    tasks = [t for g in groups for t in (*g.pending, *g.waiting, *g.unhealthy, *g.healthy)]
    actions: list[Action] = [SettleTask(task.id) for task in census.ended]
    everything = rolling.Moves(0, tuple(rolling.oldest(tasks)), (), blocked=False)
    actions += upkeep.stop(service.name, everything, service.primary.id)
    if not tasks and not census.stopping:
        actions.append(SetServiceStatus(ServiceStatus.INACTIVE))
    return actions
