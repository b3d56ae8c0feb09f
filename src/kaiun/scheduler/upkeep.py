"""What every kind of deployment does each tick: carry out moves, report, remember."""

from __future__ import annotations

from kaiun.scheduler import breaker, events, rolling
from kaiun.scheduler.census import Census
from kaiun.scheduler.model import (
    Action,
    Deployment,
    Emit,
    Health,
    Remember,
    RolloutState,
    ServiceState,
    SetRollout,
    StartTasks,
    StopTask,
    TargetState,
    Task,
)


def move(service: ServiceState, moves: rolling.Moves, now: float, *, why: str) -> list[Action]:
    """Return the actions of the moves of PRIMARY; `why` is the deployment that wants them."""
    actions: list[Action] = []
    if moves.start:
        actions.append(StartTasks(service.primary.id, moves.start))
    actions += stop(service.name, moves, why)
    if moves.replace:
        actions += breaker.count(service, len(moves.replace), now)
    return actions


def stop(service_name: str, moves: rolling.Moves, why: str) -> list[Action]:
    """Return the actions that stop what is to be stopped."""
    reason = events.scaling_reason(why)
    stops: list[Action] = [StopTask(task.id, reason) for task in moves.scale_in]
    stops += [StopTask(task.id, _complaint(task)) for task in moves.replace]
    if not stops:
        return []
    ids = [task.id for task in (*moves.scale_in, *moves.replace)]
    return [*stops, Emit(events.stopped(service_name, ids))]


def _complaint(task: Task) -> str:
    for target in task.targets:
        if target.state is TargetState.UNHEALTHY:
            return events.elb_reason(target.target_group_arn)
    return events.CONTAINER_HEALTH_REASON


def report(service: ServiceState, census: Census) -> list[Action]:
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


def complete(service: ServiceState) -> list[Action]:
    """Return the actions that end PRIMARY's rollout well."""
    primary_id = service.primary.id
    return [
        SetRollout(primary_id, RolloutState.COMPLETED, events.rollout_completed(primary_id)),
        Emit(events.completed(service.name, primary_id)),
    ]


def replaced(service: ServiceState, census: Census) -> bool:
    """Return whether the new tasks serve and the old ones are gone."""
    whole = len(census.new.healthy) == service.desired_count == census.live
    return whole and not has_old(service, census)


def has_old(service: ServiceState, census: Census) -> bool:
    """Return whether tasks of older deployments are left, stopping ones too."""
    primary_id = service.primary.id
    return bool(census.old.size) or any(t.deployment_id != primary_id for t in census.stopping)


def without_tasks(service: ServiceState, census: Census) -> list[Deployment]:
    """Return the older deployments that have no task left."""
    groups = (census.old.pending, census.old.waiting, census.old.healthy, census.old.unhealthy)
    busy = {task.deployment_id for group in groups for task in group}
    busy |= {task.deployment_id for task in census.stopping}
    return [d for d in service.deployments[1:] if d.id not in busy]


def remember(
    service: ServiceState, after: ServiceState, census: Census, *, moving: bool, blocked: bool
) -> list[Action]:
    """Emit what is said once, and take note that it was."""
    steady = _is_steady(after, census) and not moving
    blocked = blocked and after.primary.rollout_state is RolloutState.IN_PROGRESS
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
        and service.primary.rollout_state is RolloutState.COMPLETED
        and len(census.new.healthy) == service.desired_count == census.live
        and not census.stopping
    )
