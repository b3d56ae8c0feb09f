"""Changes of a ServiceState: those of the scheduler's actions, and those of a user's request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kaiun.scheduler import events, hooks, stages
from kaiun.scheduler.hooks import HookAnswer
from kaiun.scheduler.model import (
    Action,
    Attempts,
    Deployment,
    DeploymentStatus,
    Remember,
    RetireDeployment,
    RollBack,
    RolloutState,
    ServiceState,
    ServiceStatus,
    SetAttempts,
    SetRollout,
    SetServiceStatus,
    SetServing,
    SetShift,
)
from kaiun.scheduler.stages import Shift, Strategy


def apply(service: ServiceState, actions: Iterable[Action], now: float) -> ServiceState:
    """Return the service after `actions`; those that concern tasks or events change nothing."""
    for action in actions:
        service = _apply(service, action, now)
    return service


def deploy(service: ServiceState, deployment: Deployment, now: float) -> ServiceState:
    """Return the service with a new PRIMARY: UpdateService, also forceNewDeployment.

    The one that was PRIMARY becomes ACTIVE, wherever its rollout had got to.
    """
    older = tuple(_as_active(d, now) for d in service.deployments)
    shift = None
    if deployment.procedure.strategy is not Strategy.ROLLING:
        shift = stages.forward(
            deployment.procedure, deployment.id, source_id(service), now, several=len(older) > 1
        )
    started = replace(
        deployment,
        status=DeploymentStatus.PRIMARY,
        rollout_state=RolloutState.IN_PROGRESS,
        rollout_state_reason=events.rollout_in_progress(deployment.id),
        created_at=now,
        updated_at=now,
        shift=shift,
    )
    return replace(service, deployments=(started, *older), steady=False, blocked=False)


def source_id(service: ServiceState) -> str | None:
    """Return the deployment that has the traffic: the last that was completed, else PRIMARY."""
    if service.last_completed is not None:
        return service.last_completed.id
    return service.deployments[0].id if service.deployments else None


def place(service: ServiceState) -> ServiceState:
    """Return the service once the load balancer has the weights that ShiftTraffic asked for."""
    shift = service.primary.shift
    if shift is None or not shift.told or shift.placed:
        return service
    return _change(service, service.primary.id, shift=replace(shift, placed=True))


def answer(service: ServiceState, hook_id: str, said: HookAnswer, now: float) -> ServiceState:
    """Return the service after a hook's function, or ContinueServiceDeployment, has answered."""
    shift = service.primary.shift
    if shift is None:
        return service
    runs = hooks.answered(shift.runs, hook_id, said, now)
    return _change(service, service.primary.id, shift=replace(shift, runs=runs))


def resume(service: ServiceState) -> ServiceState:
    """Return the service after a restart of whoever carries its actions out: what was under way
    is asked for again."""
    shift = service.primary.shift if service.deployments else None
    if shift is None:
        return service
    again = replace(shift, told=False, placed=False, runs=hooks.unasked(shift.runs))
    return _change(service, service.primary.id, shift=again)


def scale(service: ServiceState, desired_count: int) -> ServiceState:
    """Return the service with another desired count; a back-off ends, as after any update."""
    primary = replace(service.primary, attempts=Attempts())
    rest = service.deployments[1:]
    return replace(
        service, desired_count=desired_count, deployments=(primary, *rest), blocked=False
    )


def drain(service: ServiceState) -> ServiceState:
    """Return the service on its way out: DeleteService."""
    return replace(service, status=ServiceStatus.DRAINING, desired_count=0, steady=False)


def _apply(service: ServiceState, action: Action, now: float) -> ServiceState:
    match action:
        case SetRollout():
            return _set_rollout(service, action, now)
        case SetAttempts(deployment_id, failed_tasks, attempts):
            return _change(service, deployment_id, failed_tasks=failed_tasks, attempts=attempts)
        case RollBack(from_id, to_id):
            return _roll_back(service, from_id, to_id, now)
        case SetShift(deployment_id, shift):
            return _change(service, deployment_id, shift=shift)
        case SetServing(deployment_id, since):
            return _change(service, deployment_id, serving_since=since)
        case RetireDeployment(deployment_id):
            kept = tuple(d for d in service.deployments if d.id != deployment_id)
            service = replace(service, deployments=kept)
        case Remember(steady, blocked, reported):
            service = replace(service, steady=steady, blocked=blocked, reported=reported)
        case SetServiceStatus(status):
            service = replace(service, status=status)
    return service


def _change(service: ServiceState, deployment_id: str, **fields: object) -> ServiceState:
    deployments = tuple(
        replace(d, **fields) if d.id == deployment_id else d  # type: ignore[arg-type]
        for d in service.deployments
    )
    return replace(service, deployments=deployments)


def _set_rollout(service: ServiceState, action: SetRollout, now: float) -> ServiceState:
    service = _change(
        service,
        action.deployment_id,
        rollout_state=action.state,
        rollout_state_reason=action.reason,
        updated_at=now,
    )
    if action.state is not RolloutState.COMPLETED:
        return service
    service = _change(service, action.deployment_id, rolled_back_to=False)
    completed = next(d for d in service.deployments if d.id == action.deployment_id)
    return replace(service, last_completed=completed)


def _roll_back(service: ServiceState, from_id: str, to_id: str, now: float) -> ServiceState:
    known = [d for d in (*service.deployments, service.last_completed) if d and d.id == to_id]
    back = replace(
        known[0],
        status=DeploymentStatus.PRIMARY,
        rolled_back_to=True,
        failed_tasks=0,
        attempts=Attempts(),
        updated_at=now,
        shift=_way_back(service, from_id, to_id, now),
        serving_since=None,
    )
    rest = tuple(_as_active(d, now) for d in service.deployments if d.id != to_id)
    assert any(d.id == from_id for d in rest)  # noqa: S101  (an invariant of the breaker)
    return replace(service, deployments=(back, *rest), steady=False, blocked=False)


def _way_back(service: ServiceState, from_id: str, to_id: str, now: float) -> Shift | None:
    failed = next((d.shift for d in service.deployments if d.id == from_id), None)
    return None if failed is None else stages.backward(failed, to_id, from_id, now)


def _as_active(deployment: Deployment, now: float) -> Deployment:
    if deployment.status is DeploymentStatus.ACTIVE:
        return deployment
    return replace(deployment, status=DeploymentStatus.ACTIVE, updated_at=now)
