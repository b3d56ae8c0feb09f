"""What holds for every service, whatever its limits, its tasks and its users do.

World.tick itself asserts at every tick: deterministic, no healthy task stopped below the
minimum, no task started above the maximum, no task stopped twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scheduler_world import Behaviour, World

from kaiun.scheduler.breaker import threshold
from kaiun.scheduler.events import ROLLOUT_FAILED
from kaiun.scheduler.model import Breaker, RolloutState, SetRollout, TaskStatus
from kaiun.scheduler.service import reconcile
from kaiun.scheduler.transition import apply

ROUND = settings(
    deadline=None,
    max_examples=120,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

good = st.builds(
    Behaviour,
    start_s=st.integers(0, 4).map(float),
    healthy_after_s=st.integers(0, 4).map(float),
    drain_s=st.integers(0, 6).map(float),
    stop_s=st.integers(0, 3).map(float),
    has_load_balancer=st.booleans(),
    has_health_check=st.booleans(),
)
bad = good.flatmap(
    lambda b: st.sampled_from(
        [
            replace(b, fails_to_start=True),
            replace(b, crashes_after_s=1.0),
            replace(b, crashes_after_s=12.0),
            replace(b, healthy_after_s=None, has_load_balancer=True),
            replace(b, healthy_after_s=None, has_health_check=True),
        ]
    )
)
limits = st.fixed_dictionaries(
    {
        "minimum_healthy_percent": st.sampled_from([0, 25, 50, 66, 75, 100]),
        "maximum_percent": st.sampled_from([100, 110, 125, 150, 200, 300]),
        "grace_period_s": st.sampled_from([0.0, 5.0]),
        "breaker": st.builds(Breaker, enable=st.booleans(), rollback=st.booleans()),
    }
)
requests = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["v1", "v2", "v3"]) | st.integers(0, 6) | st.sampled_from(["sick", "die"]),
    ),
    max_size=6,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A service that has been through a few requests and mishaps."""
    behaviours = {"v1": draw(good), "v2": draw(bad), "v3": draw(good), "last": draw(good)}
    world = World(draw(st.integers(0, 6)), behaviours, options=dict(draw(limits)))
    for seconds, request in draw(requests):
        world.run(seconds)
        _ask(world, request)
    return world


def _ask(world: World, request: str | int) -> None:
    if isinstance(request, int):
        world.scale(request)
    elif request in world.behaviours:
        world.deploy(request)
    else:
        victims = world.sick if request == "sick" else world.dying
        victims |= {task.id for task in world.live()[:1]}


def _may_move(world: World) -> bool:
    desired = world.service.desired_count
    return desired == 0 or world.upper > desired or world.lower < desired <= world.upper


@ROUND
@given(worlds())
def test_limits_are_kept_whatever_happens(world: World) -> None:
    world.run(60)


@ROUND
@given(worlds())
def test_a_service_converges_when_its_tasks_can_start(world: World) -> None:
    wanted = world.deploy("last")
    world.run(400, tick_s=2)
    if not _may_move(world):
        return
    primary = world.service.primary
    assert (primary.id, primary.rollout_state) == (wanted, RolloutState.COMPLETED)
    assert len(world.service.deployments) == 1
    assert len(world.present()) == len(world.healthy()) == world.service.desired_count
    assert world.service.steady
    assert world.tick() == []


@ROUND
@given(worlds())
def test_the_order_in_which_tasks_are_given_does_not_matter(world: World) -> None:
    tasks = [task for task in world.tasks.values() if not task.settled]
    forward = reconcile(world.service, tasks, world.now)
    backward = reconcile(world.service, tasks[::-1], world.now)
    assert Counter(forward) == Counter(backward)
    assert apply(world.service, forward, 0) == apply(world.service, backward, 0)


@ROUND
@given(worlds())
def test_a_drained_service_always_ends(world: World) -> None:
    world.drain()
    world.run(40)
    assert world.service.status == "INACTIVE"
    assert not world.present()


@ROUND
@given(desired=st.integers(1, 12), failures=st.integers(0, 12), rollback=st.booleans())
def test_the_breaker_trips_if_and_only_if_the_threshold_is_reached(
    desired: int, failures: int, rollback: bool
) -> None:
    breaker = Breaker(enable=True, rollback=rollback)
    world = World(
        desired,
        {"v1": Behaviour(), "v2": Behaviour()},
        options={"breaker": breaker},
    ).run(20)
    new = world.deploy("v2")
    world.doom["v2"] = failures
    world.run(200)
    tripped = SetRollout(new, RolloutState.FAILED, ROLLOUT_FAILED) in world.actions(SetRollout)
    assert tripped == (failures >= threshold(breaker, desired))
    assert world.service.primary.id == ("ecs-svc/1" if tripped and rollback else new)


@ROUND
@given(bad, st.integers(1, 6), limits)
def test_a_rollback_converges_to_the_old_version(
    behaviour: Behaviour, desired: int, options: dict[str, object]
) -> None:
    options = {**options, "breaker": Breaker(enable=True, rollback=True)}
    behaviours = {"v1": Behaviour(), "v2": replace(behaviour, crashes_after_s=1.0)}
    world = World(desired, behaviours, options=options).run(60)
    world.deploy("v2")
    world.run(400)
    if not _may_move(world):
        return
    assert world.service.primary.id == "ecs-svc/1"
    assert world.service.primary.rollout_state is RolloutState.COMPLETED
    assert {task.deployment_id for task in world.present()} == {"ecs-svc/1"}
    assert len(world.healthy()) == desired


@ROUND
@given(worlds())
def test_the_end_of_every_task_is_accounted_for(world: World) -> None:
    world.run(30)
    world.tick()
    assert all(t.settled for t in world.tasks.values() if t.last_status is TaskStatus.STOPPED)
