"""What holds for every deployment that shifts traffic, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scheduler_world import Behaviour, World

from kaiun.scheduler.events import ALARM, USER
from kaiun.scheduler.hooks import Hook, HookAction, HookAnswer, HookKind, HookStatus
from kaiun.scheduler.model import Breaker, RolloutState, StopTask
from kaiun.scheduler.shifting import shares
from kaiun.scheduler.stages import ROLLING, Procedure, Stage, Strategy

ROUND = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

NO_HOOKS = (Stage.SCALE_UP, Stage.BAKE_TIME, Stage.CLEAN_UP)

good = st.builds(
    Behaviour,
    start_s=st.integers(0, 4).map(float),
    healthy_after_s=st.integers(0, 4).map(float),
    drain_s=st.integers(0, 6).map(float),
    has_load_balancer=st.just(True),
    has_health_check=st.booleans(),
)
bad = good.flatmap(
    lambda b: st.sampled_from(
        [
            replace(b, fails_to_start=True),
            replace(b, crashes_after_s=1.0),
            replace(b, crashes_after_s=40.0),
            replace(b, healthy_after_s=None),
        ]
    )
)
hooks = st.builds(
    Hook,
    kind=st.sampled_from(HookKind),
    stages=st.lists(
        st.sampled_from([s.value for s in Stage if s not in NO_HOOKS]),
        min_size=1,
        max_size=3,
        unique=True,
    ).map(tuple),
    target=st.just("arn:check"),
    timeout_s=st.sampled_from([60.0, 600.0]),
    timeout_action=st.sampled_from(HookAction),
)
procedures = st.builds(
    Procedure,
    strategy=st.sampled_from([Strategy.BLUE_GREEN, Strategy.LINEAR, Strategy.CANARY]),
    percent=st.sampled_from([20.0, 33.3, 50.0, 100.0]),
    step_bake_s=st.sampled_from([0.0, 20.0]),
    bake_s=st.sampled_from([0.0, 30.0]),
    hooks=st.lists(hooks, max_size=2).map(tuple),
)
answers = st.lists(
    st.builds(
        HookAnswer,
        status=st.sampled_from(
            [HookStatus.SUCCEEDED, HookStatus.SUCCEEDED, HookStatus.IN_PROGRESS, HookStatus.FAILED]
        ),
        delay_s=st.sampled_from([5.0, 30.0]),
    ),
    max_size=6,
).map(lambda some: some + [HookAnswer(HookStatus.SUCCEEDED)] * 200)
mishaps = st.sampled_from(
    ["v1", "v2", "v3", "sick", "die", "continue", "refuse", "alarm", "stop", "stall", 0, 1, 3, 5]
)
requests = st.lists(st.tuples(st.integers(0, 40), mishaps), max_size=7)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A service on v1, and how its deployments go; the requests come with `live`."""
    behaviours = {"v1": draw(good), "v2": draw(good | bad), "v3": draw(good), "last": draw(good)}
    breaker = Breaker(enable=True, rollback=draw(st.booleans()))
    world = World(draw(st.integers(0, 4)), behaviours, options={"breaker": breaker}).run(40)
    world.procedure = draw(procedures)
    world.place_s = draw(st.sampled_from([0.0, 1.0, 7.0]))
    world.replies = {"arn:check": draw(answers)}
    return world


def live(world: World, asked: list[tuple[int, str | int]]) -> None:
    """Go through the requests, checking every second what must hold always."""
    for seconds, request in asked:
        _ask(world, request)
        _run(world, seconds)


def _run(world: World, seconds: int) -> None:
    for _ in range(seconds):
        before = shares(world.service).production
        source = _source(world)
        world.run(1)
        after = shares(world.service).production
        assert abs(sum(after.values()) - 100.0) < 1e-6
        assert all(0.0 <= share <= 100.0 for share in after.values())
        if _source(world) == source:
            _check_rise(world, before, after)


def _source(world: World) -> tuple[str, str | None, bool]:
    shift = world.service.primary.shift
    source = shift.source_id if shift else None
    return world.service.primary.id, source, bool(shift and shift.back)


def _check_rise(world: World, before: dict[str, float], after: dict[str, float]) -> None:
    """Nobody gets more traffic before there are tasks for it."""
    shift = world.service.primary.shift
    if shift is None or shift.back:
        return
    for deployment, share in after.items():
        if share > before.get(deployment, 0.0):
            assert deployment == world.service.primary.id
            behind = [t for t in world.live() if t.deployment_id == deployment]
            assert len(behind) >= min(1, world.service.desired_count)


def _ask(world: World, request: str | int) -> None:
    primary = world.service.primary
    in_progress = primary.rollout_state is RolloutState.IN_PROGRESS
    if isinstance(request, int):
        world.scale(request)
    elif request in world.behaviours:
        world.deploy(request)
    elif request in ("sick", "die"):
        victims = world.sick if request == "sick" else world.dying
        victims |= {task.id for task in world.live()[:1]}
    elif request in ("continue", "refuse"):
        world.answer("SUCCEEDED" if request == "continue" else "FAILED")
    elif request in ("alarm", "stop") and in_progress and world.service.last_completed:
        world.fail(ALARM if request == "alarm" else USER)
    elif request == "stall":
        world.place_s = 7.0


@ROUND
@given(worlds(), requests)
def test_blue_keeps_its_count_until_clean_up(
    world: World, asked: list[tuple[int, str | int]]
) -> None:
    """Nothing but a change of the count, or its health, stops a task of blue before."""
    live(world, asked)
    for _ in range(60):
        shift, count = world.service.primary.shift, world.service.desired_count
        if shift is None or shift.back or shift.stage is Stage.CLEAN_UP:
            return
        blue = {t.id for t in world.live() if t.deployment_id == shift.source_id}
        stopped = {a.task_id for a in world.tick() if isinstance(a, StopTask)}
        world.now += 1
        healthy = {task_id for task_id in stopped if world.tasks[task_id].was_healthy}
        assert len(blue) - len(healthy & blue - world.sick) >= min(count, len(blue))


@ROUND
@given(worlds(), requests)
def test_a_last_good_rolling_deployment_always_gets_through(
    world: World, asked: list[tuple[int, str | int]]
) -> None:
    live(world, asked)
    world.procedure = ROLLING
    wanted = world.deploy("last")
    world.run(300, tick_s=2)
    _is_settled(world, wanted)


@ROUND
@given(worlds(), requests)
def test_a_last_good_shifting_deployment_always_gets_through(
    world: World, asked: list[tuple[int, str | int]]
) -> None:
    live(world, asked)
    world.procedure = replace(world.procedure, hooks=())
    wanted = world.deploy("last")
    _run(world, 600)
    _is_settled(world, wanted)
    assert shares(world.service).production == {wanted: 100.0}


@ROUND
@given(worlds(), requests)
def test_a_stopped_deployment_always_gets_back(
    world: World, asked: list[tuple[int, str | int]]
) -> None:
    world.behaviours["v2"] = world.behaviours["v3"]
    live(world, asked)
    primary, completed = world.service.primary, world.service.last_completed
    if primary.rollout_state is not RolloutState.IN_PROGRESS or completed is None:
        return
    world.procedure = replace(world.procedure, hooks=())
    if not primary.rolled_back_to:
        world.fail(USER)
    _run(world, 400)
    _is_settled(world, completed.id)


def _is_settled(world: World, wanted: str) -> None:
    primary = world.service.primary
    assert (primary.id, primary.rollout_state) == (wanted, RolloutState.COMPLETED)
    assert primary.shift is None
    assert len(world.service.deployments) == 1
    assert len(world.present()) == len(world.healthy()) == world.service.desired_count
    assert world.service.steady
    assert world.tick() == []
