"""When a rolling deployment counts as a success: bake time, early success."""

from __future__ import annotations

import pytest
from support.scheduler_world import Behaviour, World

from kaiun.scheduler import events
from kaiun.scheduler.model import Deployment, RolloutState, TaskStatus
from kaiun.scheduler.stages import Early, Procedure

BALANCED = Behaviour(has_load_balancer=True)
SLOW = Behaviour(has_load_balancer=True, start_s=60.0)
BAKE = Procedure(bake_s=300.0)


def world(procedure: Procedure, count: int = 2, **options: object) -> World:
    """A service on v1, steady, whose next deployments go by `procedure`."""
    behaviours = {"v1": BALANCED, "v2": BALANCED, "slow": SLOW}
    begun = World(count, behaviours, options=options).run(30)
    begun.procedure = procedure
    return begun


def primary(world: World) -> Deployment:
    return world.service.primary


def states(world: World) -> set[str]:
    return {d.rollout_state.value for d in world.service.deployments}


def test_rollout_is_in_progress_for_the_bake_time_after_the_old_tasks_are_gone() -> None:
    baking = world(BAKE)
    baking.deploy("v2")
    baking.run(30)
    assert (len(baking.live("v2")), len(baking.live("v1"))) == (2, 0)
    since = primary(baking).serving_since
    assert since is not None
    baking.run(since + 299 - baking.now)
    assert states(baking) == {"IN_PROGRESS"}
    baking.run(3)
    assert states(baking) == {"COMPLETED"}
    assert baking.events[-2:] == [
        "(service web) (deployment ecs-svc/2) deployment completed.",
        "(service web) has reached a steady state.",
    ]


def test_scheduler_asks_to_be_called_when_the_bake_time_is_over() -> None:
    from kaiun.scheduler.service import due

    baking = world(BAKE)
    baking.deploy("v2")
    baking.run(30)
    since = primary(baking).serving_since
    assert since is not None
    assert due(baking.service, list(baking.tasks.values()), baking.now) == since + 300


def test_alarm_in_the_bake_time_goes_back_without_another() -> None:
    baking = world(BAKE)
    baking.deploy("v2")
    baking.run(30)
    baking.fail(events.ALARM)
    assert primary(baking).rolled_back_to
    baking.run(30)
    assert primary(baking).task_definition == "v1"
    assert states(baking) == {"COMPLETED"}


def test_task_that_is_replaced_while_it_bakes_is_waited_for_and_no_longer() -> None:
    baking = world(BAKE)
    baking.deploy("v2")
    baking.run(30)
    since = primary(baking).serving_since
    assert since is not None
    baking.run(since + 297 - baking.now)
    baking.dying = {baking.live()[0].id}
    baking.run(5)
    assert states(baking) == {"IN_PROGRESS"}
    baking.run(10)
    assert states(baking) == {"COMPLETED"}
    assert primary(baking).serving_since == since


def test_next_deployment_bakes_anew() -> None:
    baking = world(BAKE)
    baking.deploy("v2")
    baking.run(100)
    baking.deploy("v1")
    baking.run(250)
    assert primary(baking).rollout_state is RolloutState.IN_PROGRESS
    baking.run(100)
    assert states(baking) == {"COMPLETED"}


@pytest.mark.parametrize("deferred", [True, False])
def test_early_success_waits_for_its_share_and_for_old_tasks_only_if_told(deferred: bool) -> None:
    early = world(
        Procedure(early=Early(50, deferred)),
        4,
        minimum_healthy_percent=50,
        maximum_percent=150,
    )
    early.deploy("v2")
    completed_with: tuple[int, int] | None = None
    for _ in range(60):
        early.run(1)
        if primary(early).rollout_state is RolloutState.COMPLETED and completed_with is None:
            present = early.present()
            old = [t for t in present if t.deployment_id != primary(early).id]
            new = [t for t in present if t.deployment_id == primary(early).id]
            completed_with = len(new), len(old)
            healthy = len(early.healthy() & {t.id for t in new})
            assert healthy >= 2
    assert completed_with is not None
    assert bool(completed_with[1]) is deferred
    assert (len(early.live("v2")), len(early.present())) == (4, 4)
    assert len(early.service.deployments) == 1


def test_early_success_bakes_too() -> None:
    early = world(Procedure(bake_s=300.0, early=Early(100, deferred=True)))
    early.deploy("v2")
    early.run(200)
    assert primary(early).rollout_state is RolloutState.IN_PROGRESS
    early.run(150)
    assert primary(early).rollout_state is RolloutState.COMPLETED


def test_no_success_is_so_early_that_nothing_runs() -> None:
    early = world(Procedure(early=Early(50, deferred=True)))
    early.deploy("slow")
    early.run(50)
    assert primary(early).rollout_state is RolloutState.IN_PROGRESS
    assert all(t.last_status is not TaskStatus.RUNNING for t in early.live("slow"))
    early.run(30)
    assert primary(early).rollout_state is RolloutState.COMPLETED
