"""When a rolling deployment has succeeded: its tasks serve, and the bake time is over.

Sources: DeploymentConfiguration.bakeTimeInMinutes, DeploymentEarlySuccessCriteria; developer guide,
"How CloudWatch alarms detect Amazon ECS deployment failures".
"""

from __future__ import annotations

from kaiun.scheduler import upkeep
from kaiun.scheduler.census import Census
from kaiun.scheduler.model import (
    Action,
    Deployment,
    RolloutState,
    ServiceState,
    SetServing,
)


def judge(service: ServiceState, census: Census, now: float, *, settled: bool) -> list[Action]:
    """Return the actions that bring PRIMARY's rollout closer to its end; none where it has one.

    `settled`: nothing moves. The bake time begins when the tasks first serve, and goes on while
    one of them is replaced; the rollout ends when they serve after it.
    """
    primary = service.primary
    if primary.rollout_state is not RolloutState.IN_PROGRESS:
        return []
    if not _serves(service, census, settled=settled):
        return []
    end = baked_at(primary)
    if end is None:
        return [SetServing(primary.id, now)]
    return upkeep.complete(service) if now >= end else []


def baked_at(primary: Deployment) -> float | None:
    """Return when the bake time is over; None where it has not begun. A rollback has none."""
    bake_s = 0.0 if primary.rolled_back_to else primary.procedure.bake_s
    if not bake_s:
        return 0.0
    return None if primary.serving_since is None else primary.serving_since + bake_s


def _serves(service: ServiceState, census: Census, *, settled: bool) -> bool:
    early = service.primary.procedure.early
    if early is None:
        return settled and upkeep.replaced(service, census)
    wanted = -(-service.desired_count * early.healthy_percent // 100)
    enough = len(census.new.healthy) >= wanted
    return enough and (early.deferred or not upkeep.has_old(service, census))
