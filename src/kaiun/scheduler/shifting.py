"""Blue/green, linear and canary deployments: two fleets side by side, and traffic that shifts.

Green is PRIMARY. Blue keeps all its tasks until CLEAN_UP, so that a rollback at any stage before
finds them. Sources: ServiceDeploymentLifecycleStage; developer guide, "Amazon ECS blue/green
deployments".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kaiun.scheduler import breaker, events, fleets, hooks, rolling, stages, upkeep
from kaiun.scheduler.census import Census
from kaiun.scheduler.hooks import Outcome
from kaiun.scheduler.model import (
    Action,
    AskHook,
    Deployment,
    RetireDeployment,
    RolloutState,
    ServiceState,
    SetShift,
    ShiftTraffic,
)
from kaiun.scheduler.stages import Shift, Stage
from kaiun.scheduler.transition import apply

_BEFORE_GREEN = (Stage.RECONCILE_SERVICE, Stage.PRE_SCALE_UP)
_TRAFFIC = (Stage.TEST_TRAFFIC_SHIFT, Stage.PRODUCTION_TRAFFIC_SHIFT)


@dataclass(frozen=True, slots=True)
class Shares:
    """Who gets how many percent of the traffic, by deployment id."""

    production: dict[str, float]
    test: dict[str, float]


def shares(service: ServiceState) -> Shares:
    """Return how the traffic of a service is to be shared out now."""
    primary = service.primary
    shift = primary.shift
    if shift is None or shift.source_id is None:
        return Shares({primary.id: 100.0}, {primary.id: 100.0})
    step, source = shift.step, shift.source_id
    return Shares(
        {primary.id: step.production, source: round(100.0 - step.production, 1)},
        {primary.id: step.test, source: round(100.0 - step.test, 1)},
    )


def roll(service: ServiceState, census: Census, now: float) -> list[Action]:
    """Return the actions of a service whose PRIMARY shifts traffic."""
    actions = upkeep.report(service, census)
    moves = [_move(service, d, census, now, actions) for d in service.deployments]
    moving = any(move.any for move in moves)
    after = apply(service, actions, now)
    if service.primary.rollout_state is RolloutState.IN_PROGRESS:
        actions += _proceed(after, census, now, moving=moves[0].any)
    actions += [RetireDeployment(d.id) for d in _over(service, census)]
    after = apply(service, actions, now)
    blocked = any(move.blocked for move in moves)
    actions += upkeep.remember(service, after, census, moving=moving, blocked=blocked)
    return actions


def due(service: ServiceState) -> list[float]:
    """Return the moments at which time alone changes something."""
    shift = service.primary.shift
    if shift is None or service.primary.rollout_state is not RolloutState.IN_PROGRESS:
        return []
    moments = hooks.due_at(shift.runs)
    moments += [d.attempts.retry_at for d in service.deployments if d.id == shift.source_id]
    return moments if shift.baked_at is None else [*moments, shift.baked_at]


def _move(
    service: ServiceState,
    deployment: Deployment,
    census: Census,
    now: float,
    actions: list[Action],
) -> rolling.Moves:
    """Append the actions that bring one fleet to its count; return its moves."""
    fleet = fleets.alone(service, deployment, wanted(service, deployment.id))
    own = fleets.of(census, deployment.id)
    if deployment.id != service.primary.id and fleet.desired_count:
        actions += _account(fleet, own, now)
        fleet = apply(fleet, actions, now)
    moves = rolling.moves(fleet, own, now)
    actions += upkeep.move(fleet, moves, now, why=service.primary.id)
    return moves


def _account(fleet: ServiceState, census: Census, now: float) -> list[Action]:
    """Count what failed of a fleet that is not PRIMARY, for its back-off alone."""
    failed = breaker.failures_among(census.ended, fleet.primary)
    actions = breaker.count(fleet, failed, now) if failed else []
    after = apply(fleet, actions, now)
    return actions + breaker.recover(after, len(census.new.healthy), census.new.hopeful)


def wanted(service: ServiceState, deployment_id: str) -> int:
    """Return how many tasks a deployment is to have at this stage."""
    shift = service.primary.shift
    assert shift is not None  # noqa: S101  (see roll)
    if deployment_id == service.primary.id:
        return 0 if shift.stage in _BEFORE_GREEN else service.desired_count
    stays = deployment_id == shift.source_id and shift.stage is not Stage.CLEAN_UP
    return service.desired_count if stays else 0


def _proceed(service: ServiceState, census: Census, now: float, *, moving: bool) -> list[Action]:
    """Tell the load balancer, ask the hooks, and go on to the next stage when this one is over."""
    primary = service.primary
    shift = primary.shift
    assert shift is not None  # noqa: S101  (see roll)
    actions: list[Action] = []
    if not shift.told:
        actions.append(ShiftTraffic())
        shift = replace(shift, told=True)
    calls = hooks.due(shift.runs, now)
    actions += [AskHook(primary.id, run.id) for run in calls]
    runs = hooks.expire(hooks.asked(shift.runs, [run.id for run in calls]), now)
    shift = replace(shift, runs=runs)
    outcome = hooks.outcome(runs)
    if outcome is Outcome.FAILED and not shift.back:
        cause = events.hook_failed(shift.stage, _what_failed(shift))
        return [
            *actions,
            SetShift(primary.id, shift),
            *breaker.fail(
                apply(service, [SetShift(primary.id, shift)], now), cause, roll_back=True
            ),
        ]
    over = outcome is not Outcome.WAITING and _is_done(service, shift, census, moving=moving)
    return actions + _go_on(service, shift, now, over=over)


def _go_on(service: ServiceState, shift: Shift, now: float, *, over: bool) -> list[Action]:
    primary = service.primary
    since = shift.baking_since
    if over and since is None:
        since = now
        shift = replace(shift, baking_since=now)
    if since is None or now < since + shift.step.bake_s:
        return [SetShift(primary.id, shift)] if shift != primary.shift else []
    if shift.is_last:
        return [SetShift(primary.id, None), *upkeep.complete(service)]
    return [SetShift(primary.id, stages.following(shift, primary.id, now))]


def _what_failed(shift: Shift) -> str:
    return next(run.status for run in shift.runs if hooks.outcome([run]) is Outcome.FAILED)


def _is_done(service: ServiceState, shift: Shift, census: Census, *, moving: bool) -> bool:
    """Return whether the work of a stage, beside its hooks, is done."""
    stage = shift.stage
    if stage is Stage.RECONCILE_SERVICE:
        return not _others(service, shift, census)
    if stage is Stage.SCALE_UP:
        return _is_up(service, shift, census, moving=moving)
    if stage in _TRAFFIC:
        return shift.placed
    return stage is not Stage.CLEAN_UP or (upkeep.replaced(service, census) and not moving)


def _is_up(service: ServiceState, shift: Shift, census: Census, *, moving: bool) -> bool:
    """A rollback gives traffic back as soon as the minimum is there."""
    healthy = len(census.new.healthy)
    if shift.back:
        limit = rolling.lower_limit(service.desired_count, service.minimum_healthy_percent)
        return healthy >= min(limit, service.desired_count)
    return healthy == service.desired_count == census.new.size and not moving


def _others(service: ServiceState, shift: Shift, census: Census) -> bool:
    """Return whether tasks of neither blue nor green are there, even if they are stopping."""
    kept = {service.primary.id, shift.source_id}
    old = census.old
    tasks = (*old.pending, *old.waiting, *old.healthy, *old.unhealthy, *census.stopping)
    return any(task.deployment_id not in kept for task in tasks)


def _over(service: ServiceState, census: Census) -> list[Deployment]:
    """Return the deployments that are gone; the source stays listed until CLEAN_UP."""
    shift = service.primary.shift
    assert shift is not None  # noqa: S101  (see roll)
    kept = None if shift.stage is Stage.CLEAN_UP else shift.source_id
    return [d for d in upkeep.without_tasks(service, census) if d.id != kept]
