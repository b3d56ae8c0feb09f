from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from support.scheduler_world import Behaviour, World

from kaiun.scheduler.breaker import back_off_s, count, fail, is_failure, threshold
from kaiun.scheduler.events import USER
from kaiun.scheduler.model import (
    Breaker,
    Deployment,
    DeploymentStatus,
    Emit,
    RolloutState,
    ServiceState,
    SetRollout,
    StartTasks,
    StopCode,
    Task,
    ThresholdKind,
)
from kaiun.scheduler.transition import apply

ON = Breaker(enable=True, rollback=True)
GOOD = Behaviour(has_load_balancer=True)
FAILS = Behaviour(fails_to_start=True)
CRASHES = Behaviour(crashes_after_s=1)
ILL = Behaviour(has_load_balancer=True, healthy_after_s=None)
TRIPPED = "ECS deployment circuit breaker: tasks failed to start."


def world(bad: Behaviour, breaker: Breaker = ON, desired_count: int = 2) -> World:
    """A service steady on v1 that is asked to run v2, which is bad."""
    behaviours = {"v1": GOOD, "v2": bad}
    rolled = World(desired_count, behaviours, options={"breaker": breaker}).run(30)
    rolled.events.clear()
    rolled.deploy("v2")
    return rolled


@pytest.mark.parametrize(
    ("desired", "failures"), [(1, 3), (2, 3), (6, 3), (7, 4), (20, 10), (399, 200), (1000, 200)]
)
def test_half_of_the_desired_count_trips_between_3_and_200(desired: int, failures: int) -> None:
    assert threshold(Breaker(), desired) == failures


def test_other_thresholds() -> None:
    assert threshold(Breaker(kind=ThresholdKind.COUNT, value=7), 100) == 7
    unbounded = Breaker(kind=ThresholdKind.UNBOUNDED_PERCENT, value=10)
    assert threshold(unbounded, 15) == 2
    assert threshold(unbounded, 10_000) == 1000


@pytest.mark.parametrize("bad", [FAILS, CRASHES, ILL])
def test_a_bad_deployment_is_rolled_back_to_the_last_completed_one(bad: Behaviour) -> None:
    rolled = world(bad).run(120)
    assert {rolled.tasks[i].deployment_id for i in rolled.healthy()} == {"ecs-svc/1"}
    assert len(rolled.live()) == 2
    primary = rolled.service.primary
    assert (primary.id, primary.rollout_state) == ("ecs-svc/1", RolloutState.COMPLETED)
    assert SetRollout("ecs-svc/2", RolloutState.FAILED, TRIPPED) in rolled.actions(SetRollout)
    assert StartTasks("ecs-svc/1", 2) not in rolled.actions(StartTasks)[1:]
    told = [e for e in rolled.events if "started" not in e and "stopped" not in e]
    told = [e for e in told if "unhealthy" not in e]
    assert told == [
        "(service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.",
        "(service web) rolling back to deployment ecs-svc/1.",
        "(service web) (deployment ecs-svc/1) deployment completed.",
        "(service web) has reached a steady state.",
    ]


def test_the_old_tasks_never_stop_for_a_bad_deployment() -> None:
    rolled = world(CRASHES).run(120)
    assert rolled.healthy() == {"t1", "t2"}


def test_while_rolling_back_the_deployments_say_so() -> None:
    rolled = world(ILL)
    while rolled.service.primary.id == "ecs-svc/2":
        rolled.run(1)
    back, bad = rolled.service.deployments
    assert back.rollout_state_reason == (
        "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."
    )
    assert (back.status, bad.status) == (DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE)
    assert (bad.rollout_state, bad.rollout_state_reason) == (RolloutState.FAILED, TRIPPED)
    assert bad.failed_tasks >= 3


def test_with_nothing_to_go_back_to_it_stops_starting_and_stays_failed() -> None:
    hopeless = World(1, {"v1": FAILS}, options={"breaker": ON}).run(300)
    assert hopeless.service.primary.rollout_state is RolloutState.FAILED
    assert hopeless.service.primary.rollout_state_reason == TRIPPED
    assert len(hopeless.tasks) == 3
    assert hopeless.events[-1].endswith("deployment failed: tasks failed to start.")


def test_without_rollback_the_old_tasks_go_on_and_nothing_new_starts() -> None:
    rolled = world(FAILS, Breaker(enable=True)).run(200)
    assert rolled.healthy() == {"t1", "t2"}
    assert [d.rollout_state for d in rolled.service.deployments] == [
        RolloutState.FAILED,
        RolloutState.COMPLETED,
    ]


def test_a_rollback_starts_the_old_version_again_where_its_tasks_are_gone() -> None:
    rolled = World(
        1,
        {"v1": GOOD, "v2": CRASHES},
        options={"breaker": ON, "minimum_healthy_percent": 0, "maximum_percent": 100},
    ).run(30)
    rolled.deploy("v2")
    rolled.run(120)
    assert rolled.service.primary.id == "ecs-svc/1"
    assert len(rolled.healthy()) == 1


def test_a_rollback_that_fails_stays_failed() -> None:
    rolled = World(
        1,
        {"v1": GOOD, "v2": CRASHES},
        options={"breaker": ON, "minimum_healthy_percent": 0, "maximum_percent": 100},
    ).run(30)
    rolled.behaviours["v1"] = Behaviour(has_load_balancer=True, fails_to_start=True)
    rolled.deploy("v2")
    rolled.run(200)
    primary = rolled.service.primary
    assert (primary.id, primary.rollout_state) == ("ecs-svc/1", RolloutState.FAILED)
    assert rolled.events.count("(service web) rolling back to deployment ecs-svc/1.") == 1
    assert not rolled.present()


def test_a_task_that_has_served_is_no_failure_when_it_ends() -> None:
    ended = Task("t1", "ecs-svc/1", stop_code=StopCode.ESSENTIAL_CONTAINER_EXITED)
    assert is_failure(ended)
    assert not is_failure(replace(ended, was_healthy=True))
    assert not is_failure(replace(ended, stop_code=StopCode.USER_INITIATED))
    assert not is_failure(replace(ended, stop_code=StopCode.SERVICE_SCHEDULER_INITIATED))


def test_a_back_off_that_stays_the_same_is_not_said_again() -> None:
    service = ServiceState("web", 4, (Deployment("ecs-svc/1", "v1"),))
    said = []
    for _ in range(7):
        actions = count(service, 1, 0.0)
        said.append(any(isinstance(action, Emit) for action in actions))
        service = apply(service, actions, 0.0)
    assert said == [False, False, True, False, False, False, True]


def test_a_failed_service_is_healed_by_the_next_deployment() -> None:
    failed = World(1, {"v1": FAILS, "v2": GOOD}, options={"breaker": ON}).run(60)
    failed.deploy("v2")
    failed.run(30)
    assert failed.service.primary.rollout_state is RolloutState.COMPLETED


def test_a_healthy_task_resets_the_count() -> None:
    rolled = world(GOOD)
    rolled.run(3)
    primary = replace(rolled.service.primary, failed_tasks=2)
    rolled.service = replace(rolled.service, deployments=(primary, *rolled.service.deployments[1:]))
    rolled.run(30)
    assert rolled.service.primary.failed_tasks == 0


def test_the_count_stays_where_it_is_not_to_be_reset() -> None:
    rolled = world(GOOD, Breaker(enable=True, reset_on_healthy_task=False))
    rolled.run(3)
    primary = replace(rolled.service.primary, failed_tasks=2)
    rolled.service = replace(rolled.service, deployments=(primary, *rolled.service.deployments[1:]))
    rolled.run(30)
    assert rolled.service.primary.failed_tasks == 2


def test_without_a_breaker_the_back_off_grows() -> None:
    looping = World(1, {"v1": FAILS}).run(1000)
    starts = [at for at, action in looping.log if isinstance(action, StartTasks)]
    gaps = [round(b - a) for a, b in pairwise(starts)]
    assert gaps == [2, 2, 12, 22, 42, 82, 162, 322]
    inconsistent = "(service web) is unable to consistently start tasks successfully."
    assert looping.events.count(inconsistent) == len(starts) - 2


def test_the_back_off_is_never_longer_than_15_minutes() -> None:
    service = ServiceState("web", 1, (Deployment("ecs-svc/1", "v1"),))
    assert back_off_s(service, 10_000) == 900


def test_the_back_off_ends_with_an_update() -> None:
    looping = World(1, {"v1": FAILS}).run(200)
    looping.behaviours["v1"] = Behaviour()
    looping.scale(1)
    looping.run(20)
    assert len(looping.healthy()) == 1
    assert looping.service.primary.attempts.failures == 0


def test_a_deployment_can_be_failed_by_request() -> None:
    rolled = world(Behaviour(has_load_balancer=True, start_s=100)).run(5)
    actions = fail(rolled.service, USER, roll_back=True)
    rolled.service = apply(rolled.service, actions, rolled.now)
    rolled.run(60)
    assert rolled.service.primary.id == "ecs-svc/1"
    assert not rolled.live("v2")


def test_a_rollback_that_fails_too_stalls_and_another_deployment_gets_it_out() -> None:
    """A health check that no task passes any more breaks the way back as well."""
    rolled = world(ILL)
    rolled.behaviours["v1"] = ILL
    rolled.sick |= set(rolled.tasks)
    rolled.run(120)
    primary = rolled.service.primary
    assert (primary.id, primary.rollout_state) == ("ecs-svc/1", RolloutState.FAILED)
    assert rolled.lower <= len(rolled.live()) <= rolled.upper
    before = set(rolled.tasks)
    assert set(rolled.run(120).tasks) == before

    rolled.behaviours["v1"] = GOOD
    rolled.sick.clear()
    again = rolled.deploy("v1")
    rolled.run(60)
    primary = rolled.service.primary
    assert (primary.id, primary.rollout_state) == (again, RolloutState.COMPLETED)
    assert len(rolled.healthy()) == len(rolled.live()) == 2
