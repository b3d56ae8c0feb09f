"""Blue/green, linear and canary deployments, through invented hours."""

from __future__ import annotations

import itertools
import json

import pytest
from support.scheduler_world import Behaviour, World

from kaiun.engine.codec import decode, encode
from kaiun.scheduler.events import ALARM, USER
from kaiun.scheduler.hooks import Hook, HookAction, HookAnswer, HookKind, HookStatus
from kaiun.scheduler.model import (
    Breaker,
    RolloutState,
    ServiceState,
    SetRollout,
    SetShift,
    StartTasks,
    StopTask,
)
from kaiun.scheduler.service import due
from kaiun.scheduler.shifting import shares
from kaiun.scheduler.stages import ROLLING, Procedure, Stage, Strategy
from kaiun.scheduler.transition import resume

BALANCED = Behaviour(has_load_balancer=True)
BLUE_GREEN = Procedure(Strategy.BLUE_GREEN, bake_s=300)
CANARY = Procedure(Strategy.CANARY, percent=5.0, step_bake_s=600, bake_s=300)
LINEAR = Procedure(Strategy.LINEAR, percent=30.0, step_bake_s=360)
FAST = Procedure(Strategy.BLUE_GREEN)

STAGES = [
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
]


def pause(*stages: str, timeout_s: float = 86400, action: str = "ROLLBACK") -> Hook:
    return Hook(HookKind.PAUSE, stages, timeout_s=timeout_s, timeout_action=HookAction(action))


def function(*stages: str) -> Hook:
    return Hook(HookKind.AWS_LAMBDA, stages, target="arn:check", details='{"a": 1}')


def with_hooks(procedure: Procedure, *hooks: Hook) -> Procedure:
    return Procedure(
        procedure.strategy, procedure.percent, procedure.step_bake_s, procedure.bake_s, hooks
    )


def world(procedure: Procedure, desired: int = 2, **kind: Behaviour) -> World:
    """A service on v1 that rolled; its next deployments follow `procedure`."""
    made = World(desired, {"v1": BALANCED, "v2": BALANCED, "v3": BALANCED, **kind}).run(30)
    made.procedure = procedure
    made.stages = []
    return made


def weight(made: World, deployment: int) -> float:
    return shares(made.service).production.get(f"ecs-svc/{deployment}", 0.0)


def until(made: World, stage: str, limit_s: float = 4000) -> World:
    end = made.now + limit_s
    while not made.stages or made.stages[-1] != stage:
        assert made.now < end, made.stages
        made.run(1)
    return made


def outcome(made: World) -> tuple[str, str, int]:
    primary = made.service.primary
    return primary.id, primary.rollout_state.value, len(made.service.deployments)


def test_blue_green_goes_through_all_stages_and_ends_on_green() -> None:
    shifted = world(BLUE_GREEN)
    shifted.deploy("v2")
    shifted.run(400)
    assert shifted.stages == [*STAGES, "-"]
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)
    assert {t.instance for t in shifted.present()} == {"v2"}
    assert shifted.service.steady
    assert shifted.tick() == []


def test_blue_keeps_its_traffic_until_green_is_healthy_and_its_tasks_until_the_bake_is_over() -> (
    None
):
    slow = Behaviour(has_load_balancer=True, healthy_after_s=60)
    shifted = world(BLUE_GREEN, v2=slow)
    shifted.deploy("v2")
    shifted.run(60)
    assert (shifted.stages[-1], weight(shifted, 1)) == ("SCALE_UP", 100.0)
    assert (len(shifted.live("v1")), len(shifted.live("v2"))) == (2, 2)
    until(shifted, "BAKE_TIME").run(299)
    assert (weight(shifted, 2), len(shifted.live("v1"))) == (100.0, 2)
    until(shifted, "CLEAN_UP", 5)
    assert not shifted.live("v1")


def test_test_traffic_is_greens_before_production_traffic_is() -> None:
    shifted = world(with_hooks(BLUE_GREEN, pause("POST_TEST_TRAFFIC_SHIFT")))
    shifted.deploy("v2")
    shifted.run(60)
    assert shares(shifted.service).test == {"ecs-svc/2": 100.0, "ecs-svc/1": 0.0}
    assert shares(shifted.service).production == {"ecs-svc/2": 0.0, "ecs-svc/1": 100.0}


def test_canary_gives_five_percent_ten_minutes_and_then_all() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(595)
    assert shares(shifted.service).production == {"ecs-svc/2": 5.0, "ecs-svc/1": 95.0}
    shifted.run(15)
    assert weight(shifted, 2) == 100.0
    shifted.run(400)
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


def test_linear_steps_are_equal_and_the_last_is_not_baked() -> None:
    shifted = world(LINEAR)
    began = shifted.now
    shifted.deploy("v2")
    seen: list[float] = []
    while shifted.service.primary.shift is not None:
        shifted.run(1)
        now = weight(shifted, 2)
        seen += [now] if not seen or seen[-1] != now else []
    assert seen == [0.0, 30.0, 60.0, 90.0, 100.0]
    assert 3 * 360 < shifted.now - began < 3 * 360 + 60


@pytest.mark.parametrize(("percent", "steps"), [(100.0, 1), (50.0, 2), (33.3, 4), (3.0, 34)])
def test_linear_always_ends_at_all_of_the_traffic(percent: float, steps: int) -> None:
    shifted = world(Procedure(Strategy.LINEAR, percent=percent))
    shifted.deploy("v2")
    shift = shifted.service.primary.shift
    assert shift is not None
    weights = [s.production for s in shift.steps if s.stage is Stage.PRODUCTION_TRAFFIC_SHIFT]
    assert (len(weights), weights[-1]) == (steps, 100.0)
    assert weights == sorted(weights)


def test_a_first_deployment_has_all_traffic_and_nothing_to_bake() -> None:
    fresh = World(2, {"v1": BALANCED}, procedure=CANARY)
    assert shares(fresh.service).production == {"ecs-svc/1": 100.0}
    fresh.run(60)
    assert fresh.stages == [*STAGES, "-"]
    assert outcome(fresh) == ("ecs-svc/1", "COMPLETED", 1)


def test_a_pause_waits_for_continue() -> None:
    shifted = world(with_hooks(FAST, pause("PRE_SCALE_UP", "POST_SCALE_UP")))
    shifted.deploy("v2")
    shifted.run(3000)
    assert (shifted.stages[-1], len(shifted.live("v2"))) == ("PRE_SCALE_UP", 0)
    shifted.answer("SUCCEEDED")
    shifted.run(3000)
    assert (shifted.stages[-1], len(shifted.live("v2"))) == ("POST_SCALE_UP", 2)
    shifted.answer("SUCCEEDED")
    shifted.run(60)
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


def test_the_stage_before_production_traffic_pauses_before_every_step() -> None:
    hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT")
    shifted = world(with_hooks(Procedure(Strategy.CANARY, percent=5.0), hook))
    shifted.deploy("v2")
    weights, ids = [], set()
    for _ in range(2):
        shifted.run(60)
        weights.append(weight(shifted, 2))
        ids |= {run.id for run in shifted.waiting_hooks()}
        shifted.answer("SUCCEEDED")
    shifted.run(60)
    assert (weights, len(ids)) == ([0.0, 5.0], 2)
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


@pytest.mark.parametrize(
    ("action", "end"),
    [("ROLLBACK", ("ecs-svc/1", "COMPLETED", 1)), ("CONTINUE", ("ecs-svc/2", "COMPLETED", 1))],
)
def test_a_pause_that_nobody_ends_times_out(action: str, end: tuple[str, str, int]) -> None:
    shifted = world(with_hooks(FAST, pause("POST_SCALE_UP", timeout_s=600, action=action)))
    shifted.deploy("v2")
    shifted.run(605)
    assert shifted.stages[-1] == "POST_SCALE_UP"
    shifted.run(60)
    assert outcome(shifted) == end


def test_a_function_is_asked_again_until_it_no_longer_says_in_progress() -> None:
    shifted = world(with_hooks(FAST, function("POST_SCALE_UP")))
    shifted.replies = {
        "arn:check": [
            HookAnswer(HookStatus.IN_PROGRESS),
            HookAnswer(HookStatus.IN_PROGRESS, delay_s=60),
            HookAnswer(HookStatus.SUCCEEDED),
        ]
    }
    shifted.deploy("v2")
    shifted.run(200)
    moments = [at for at, _, stage in shifted.calls if stage == "POST_SCALE_UP"]
    assert [round(b - a) for a, b in itertools.pairwise(moments)] == [31, 61]
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


def test_a_function_that_fails_rolls_back_and_the_event_says_which_stage() -> None:
    shifted = world(with_hooks(FAST, function("PRE_PRODUCTION_TRAFFIC_SHIFT")))
    shifted.replies = {"arn:check": [HookAnswer(HookStatus.FAILED)]}
    shifted.deploy("v2")
    shifted.run(100)
    assert outcome(shifted) == ("ecs-svc/1", "COMPLETED", 1)
    assert (
        "(service web) (deployment ecs-svc/2) deployment failed: "
        "lifecycle hook FAILED at PRE_PRODUCTION_TRAFFIC_SHIFT."
    ) in shifted.events
    assert "(service web) rolling back to deployment ecs-svc/1." in shifted.events


def test_what_a_function_returns_for_itself_it_is_given_the_next_time() -> None:
    shifted = world(with_hooks(FAST, function("POST_SCALE_UP")))
    shifted.replies = {"arn:check": [HookAnswer(HookStatus.IN_PROGRESS, details='{"b": 2}')]}
    shifted.deploy("v2")
    until(shifted, "POST_SCALE_UP").run(2)
    shift = shifted.service.primary.shift
    assert shift is not None
    assert [json.loads(run.details) for run in shift.runs] == [{"b": 2}]


def test_hooks_of_the_traffic_shifts_run_in_a_rollback_too_but_cannot_fail_it() -> None:
    procedure = with_hooks(BLUE_GREEN, function("PRODUCTION_TRAFFIC_SHIFT"))
    shifted = world(procedure)
    shifted.replies = {
        "arn:check": [HookAnswer(HookStatus.SUCCEEDED), HookAnswer(HookStatus.FAILED)]
    }
    shifted.deploy("v2")
    until(shifted, "BAKE_TIME")
    shifted.fail(ALARM)
    shifted.run(60)
    assert len(shifted.calls) == 2
    assert outcome(shifted) == ("ecs-svc/1", "COMPLETED", 1)


@pytest.mark.parametrize("stage", STAGES)
def test_a_deployment_can_be_stopped_at_every_stage(stage: str) -> None:
    held = with_hooks(CANARY, pause(*(s for s in STAGES if "PRE" in s or "POST" in s)))
    shifted = world(held)
    shifted.deploy("v2")
    while shifted.stages[-1:] != [stage]:
        shifted.answer("SUCCEEDED")
        shifted.run(1)
    shifted.fail(USER)
    for _ in range(100):
        shifted.run(1)
        assert shares(shifted.service).production == {"ecs-svc/1": 100.0} or (
            weight(shifted, 1) + weight(shifted, 2) == 100.0
        )
    assert outcome(shifted) == ("ecs-svc/1", "COMPLETED", 1)
    assert {t.instance for t in shifted.present()} == {"v1"}
    started = [a for a in shifted.actions(StartTasks) if a.deployment_id == "ecs-svc/1"]
    assert len(started) == (1 if stage != "CLEAN_UP" else 2)


def test_an_alarm_takes_the_traffic_back_before_a_task_of_green_stops() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(60)
    shifted.fail(ALARM)
    shifted.stages = []
    while shifted.stages[-1:] != ["CLEAN_UP"]:
        assert len(shifted.live("v2")) == 2
        shifted.run(1)
    assert shifted.stages == [
        "SCALE_UP",
        "PRODUCTION_TRAFFIC_SHIFT",
        "TEST_TRAFFIC_SHIFT",
        "CLEAN_UP",
    ]
    shifted.run(20)
    assert not shifted.live("v2")
    reasons = [a for a in shifted.actions(SetRollout) if a.deployment_id == "ecs-svc/2"]
    assert reasons[-1].reason == "ECS deployment failed: alarm detected."


def test_without_rollback_a_failed_deployment_stays_where_it_is() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(5)
    shifted.fail(ALARM, roll_back=False)
    shifted.run(2000)
    assert outcome(shifted) == ("ecs-svc/2", "FAILED", 2)
    assert shares(shifted.service).production == {"ecs-svc/2": 5.0, "ecs-svc/1": 95.0}
    assert (len(shifted.live("v1")), len(shifted.live("v2"))) == (2, 2)


def test_the_breaker_trips_on_green_and_blue_never_noticed() -> None:
    shifted = world(BLUE_GREEN, v2=Behaviour(fails_to_start=True))
    shifted.service = _with_breaker(shifted.service)
    shifted.deploy("v2")
    shifted.run(120)
    assert outcome(shifted) == ("ecs-svc/1", "COMPLETED", 1)
    stopped = {a.task_id for a in shifted.actions(StopTask)}
    assert stopped.isdisjoint({"t1", "t2"})


def _with_breaker(service: ServiceState) -> ServiceState:
    from dataclasses import replace

    return replace(service, breaker=Breaker(enable=True, rollback=True))


def test_both_fleets_follow_a_change_of_the_count_and_replace_what_dies() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(30)
    shifted.dying |= {t.id for t in (shifted.live("v1")[0], shifted.live("v2")[0])}
    shifted.scale(4)
    shifted.run(30)
    assert (len(shifted.live("v1")), len(shifted.live("v2"))) == (4, 4)
    shifted.scale(1)
    shifted.run(30)
    assert (len(shifted.live("v1")), len(shifted.live("v2"))) == (1, 1)


def test_a_newer_deployment_first_takes_the_unfinished_one_away() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(30)
    shifted.deploy("v3")
    assert shares(shifted.service).production == {"ecs-svc/3": 0.0, "ecs-svc/1": 100.0}
    shifted.run(2)
    assert (shifted.stages[-1], shifted.live("v2")) == ("RECONCILE_SERVICE", [])
    until(shifted, "SCALE_UP")
    assert {t.instance for t in shifted.present()} <= {"v1", "v3"}
    shifted.run(1000)
    assert outcome(shifted) == ("ecs-svc/3", "COMPLETED", 1)


def test_a_rolling_deployment_can_follow_a_shifting_one_that_is_not_over() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(30)
    shifted.procedure = ROLLING
    shifted.deploy("v3")
    shifted.run(60)
    assert outcome(shifted) == ("ecs-svc/3", "COMPLETED", 1)
    assert shares(shifted.service).production == {"ecs-svc/3": 100.0}


def test_a_service_without_tasks_is_deployed_too() -> None:
    shifted = world(BLUE_GREEN, desired=0)
    shifted.deploy("v2")
    shifted.run(330)
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


def test_while_it_only_waits_nothing_is_done_and_it_is_known_until_when() -> None:
    shifted = world(CANARY)
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(10)
    assert shifted.tick() == []
    at = due(shifted.service, list(shifted.tasks.values()), shifted.now)
    assert at is not None
    assert 580 < at - shifted.now < 600


def test_all_of_it_survives_being_written_down_and_read_again() -> None:
    hooks = (pause("POST_SCALE_UP"), function("POST_SCALE_UP"))
    shifted = world(with_hooks(CANARY, *hooks))
    shifted.replies = {"arn:check": [HookAnswer(HookStatus.IN_PROGRESS)] * 100}
    shifted.deploy("v2")
    until(shifted, "POST_SCALE_UP").run(3)
    written = json.loads(json.dumps(encode(shifted.service)))
    assert decode(ServiceState, written) == shifted.service


def test_after_a_restart_what_was_under_way_is_asked_for_again() -> None:
    shifted = world(with_hooks(FAST, function("TEST_TRAFFIC_SHIFT")))
    shifted.replies = {"arn:check": [HookAnswer(HookStatus.SUCCEEDED)] * 2}
    shifted.deploy("v2")
    while not shifted.calls:
        shifted.tick()
        shifted.now += 1
    shifted.returned, shifted.place_at = [], None  # both answers are lost
    shifted.run(300)
    assert shifted.stages[-1] == "TEST_TRAFFIC_SHIFT"
    shifted.service = resume(shifted.service)
    shifted.run(60)
    assert outcome(shifted) == ("ecs-svc/2", "COMPLETED", 1)


def test_a_step_is_not_over_before_the_load_balancer_has_its_weights() -> None:
    shifted = world(LINEAR)
    shifted.place_s = 50.0
    shifted.deploy("v2")
    until(shifted, "PRODUCTION_TRAFFIC_SHIFT").run(360 + 45)
    assert weight(shifted, 2) == 30.0
    shifted.run(10)
    assert weight(shifted, 2) == 60.0


def test_a_shift_is_over_when_the_deployment_is() -> None:
    shifted = world(FAST)
    new = shifted.deploy("v2")
    shifted.run(60)
    assert SetShift(new, None) in shifted.actions(SetShift)
    assert shifted.service.last_completed == shifted.service.primary
    assert shifted.service.primary.rollout_state is RolloutState.COMPLETED
