"""Reconcile one service: what to start, to stop and to say so that it becomes what is desired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kaiun.scheduler import breaker, events, rolling
from kaiun.scheduler.census import Census, take
from kaiun.scheduler.health import verdict_due
from kaiun.scheduler.model import (
    Action,
    ConfirmTask,
    Deployment,
    Emit,
    Health,
    Remember,
    RetireDeployment,
    RolloutState,
    ServiceState,
    ServiceStatus,
    SetRollout,
    SetServiceStatus,
    SettleTask,
    StartTasks,
    StopTask,
    TargetState,
    Task,
    TaskStatus,
)
from kaiun.scheduler.transition import apply

_ACTIVE: Final = ServiceStatus.ACTIVE
_COMPLETED: Final = RolloutState.COMPLETED
_IN_PROGRESS: Final = RolloutState.IN_PROGRESS


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
    if service.primary.id != deployment_id:
        return []
    return breaker.unplaced(service, now)


def due(service: ServiceState, tasks: Sequence[Task], now: float) -> float | None:
    """Return when `reconcile` may act next though nothing changes until then, if ever."""
    deployments = {deployment.id: deployment for deployment in service.deployments}
    primary = service.primary
    times = [primary.attempts.retry_at] if primary.attempts.retry_at > now else []
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
    moves = rolling.moves(service, census, now)
    primary = service.primary
    actions = _report(service, census)
    if moves.start:
        actions.append(StartTasks(primary.id, moves.start))
    actions += _stop(service, moves)
    if moves.replace:
        actions += breaker.count(service, len(moves.replace), now)
    actions += _finish(service, census, settled=not moves.any)
    actions += _remember(service, apply(service, actions, now), census, moves)
    return actions


def _stop(service: ServiceState, moves: rolling.Moves) -> list[Action]:
    reason = events.scaling_reason(service.primary.id)
    stops: list[Action] = [StopTask(task.id, reason) for task in moves.scale_in]
    stops += [StopTask(task.id, _complaint(task)) for task in moves.replace]
    if not stops:
        return []
    ids = [task.id for task in (*moves.scale_in, *moves.replace)]
    return [*stops, Emit(events.stopped(service.name, ids))]


def _complaint(task: Task) -> str:
    for target in task.targets:
        if target.state is TargetState.UNHEALTHY:
            return events.elb_reason(target.target_group_arn)
    return events.CONTAINER_HEALTH_REASON


def _report(service: ServiceState, census: Census) -> list[Action]:
    """Emit an event for each task that has turned unhealthy since the last tick."""
    actions: list[Action] = []
    for task in (*census.new.unhealthy, *census.old.unhealthy):
        if task.id in service.reported:
            continue
        for target in task.targets:
            if target.state is TargetState.UNHEALTHY:
                text = events.unhealthy_target(
                    service.name, target.port, target.target_group_arn, target.description
                )
                actions.append(Emit(text))
        if task.health is Health.UNHEALTHY:
            actions.append(Emit(events.unhealthy_container(service.name, task.id)))
    return actions


def _finish(service: ServiceState, census: Census, *, settled: bool) -> list[Action]:
    """Complete the rollout once the new tasks serve and the old ones are gone."""
    primary = service.primary
    actions: list[Action] = []
    if primary.rollout_state is _IN_PROGRESS and settled and _replaced(service, census):
        actions.append(SetRollout(primary.id, _COMPLETED, events.rollout_completed(primary.id)))
        actions.append(Emit(events.completed(service.name, primary.id)))
    if len(service.deployments) > 1:
        gone = _without_tasks(service, census)
        actions += [RetireDeployment(deployment.id) for deployment in gone]
    return actions


def _replaced(service: ServiceState, census: Census) -> bool:
    primary_id = service.primary.id
    return len(census.new.healthy) == service.desired_count == census.live and all(
        task.deployment_id == primary_id for task in census.stopping
    )


def _without_tasks(service: ServiceState, census: Census) -> list[Deployment]:
    groups = (census.old.pending, census.old.waiting, census.old.healthy, census.old.unhealthy)
    busy = {task.deployment_id for group in groups for task in group}
    busy |= {task.deployment_id for task in census.stopping}
    return [d for d in service.deployments[1:] if d.id not in busy]


def _remember(
    service: ServiceState, after: ServiceState, census: Census, moves: rolling.Moves
) -> list[Action]:
    """Emit what is said once, and take note that it was."""
    steady = _is_steady(after, census) and not moves.any
    blocked = moves.blocked and after.primary.rollout_state is _IN_PROGRESS
    unhealthy = (*census.new.unhealthy, *census.old.unhealthy)
    reported = frozenset(task.id for task in unhealthy)
    said: list[Action] = []
    if blocked and not service.blocked:
        said.append(Emit(events.blocked(service.name)))
    if steady and not service.steady:
        said.append(Emit(events.steady(service.name)))
    if (steady, blocked, reported) != (service.steady, service.blocked, service.reported):
        said.append(Remember(steady, blocked, reported))
    return said


def _is_steady(service: ServiceState, census: Census) -> bool:
    return (
        len(service.deployments) == 1
        and service.primary.rollout_state is _COMPLETED
        and len(census.new.healthy) == service.desired_count == census.live
        and not census.stopping
    )


def _drain(service: ServiceState, census: Census) -> list[Action]:
    """Stop everything; the service is INACTIVE once nothing is left."""
    if service.status is ServiceStatus.INACTIVE:
        return []
    groups = (census.new, census.old)
    tasks = [t for g in groups for t in (*g.pending, *g.waiting, *g.unhealthy, *g.healthy)]
    actions: list[Action] = [SettleTask(task.id) for task in census.ended]
    everything = rolling.Moves(0, tuple(rolling.oldest(tasks)), (), blocked=False)
    actions += _stop(service, everything)
    if not tasks and not census.stopping:
        actions.append(SetServiceStatus(ServiceStatus.INACTIVE))
    return actions
