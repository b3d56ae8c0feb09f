from __future__ import annotations

from dataclasses import replace

import pytest
from support.scheduler_world import GROUP, Behaviour, World

from kaiun.scheduler import events
from kaiun.scheduler.model import (
    ConfirmTask,
    DeploymentStatus,
    RetireDeployment,
    RolloutState,
    ServiceStatus,
    StartTasks,
    StopTask,
    TaskStatus,
)
from kaiun.scheduler.rolling import lower_limit, upper_limit

BALANCED = Behaviour(has_load_balancer=True)
NEVER_HEALTHY = Behaviour(has_load_balancer=True, healthy_after_s=None)
BOTH_BLOCKED = (
    "(service web) was unable to stop or start tasks during a deployment because of the service "
    "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try "
    "again."
)


def world(
    desired_count: int = 2, *, minimum: int = 100, maximum: int = 200, **kind: Behaviour
) -> World:
    """A service on v1, steady; `kind` are behaviours by task definition."""
    behaviours: dict[str, Behaviour] = {"v1": BALANCED, "v2": BALANCED, **kind}
    options: dict[str, object] = {
        "minimum_healthy_percent": minimum,
        "maximum_percent": maximum,
    }
    return World(desired_count, behaviours, options=options).run(30)


@pytest.mark.parametrize(
    ("desired", "minimum", "lower"), [(2, 75, 2), (4, 50, 2), (3, 50, 2), (1, 0, 0), (10, 100, 10)]
)
def test_the_minimum_is_rounded_up(desired: int, minimum: int, lower: int) -> None:
    assert lower_limit(desired, minimum) == lower


@pytest.mark.parametrize(
    ("desired", "maximum", "upper"), [(3, 125, 3), (4, 200, 8), (3, 150, 4), (1, 199, 1)]
)
def test_the_maximum_is_rounded_down(desired: int, maximum: int, upper: int) -> None:
    assert upper_limit(desired, maximum) == upper


def test_a_new_service_tells_the_story_of_a_real_log() -> None:
    told = world()
    assert told.events == [
        "(service web) has started 2 tasks: (task t1) (task t2).",
        "(service web) (deployment ecs-svc/1) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    primary = told.service.primary
    assert primary.rollout_state is RolloutState.COMPLETED
    assert primary.rollout_state_reason == "ECS deployment ecs-svc/1 completed."


def test_a_deployment_starts_new_tasks_before_it_stops_old_ones() -> None:
    rolled = world()
    rolled.events.clear()
    rolled.deploy("v2")
    assert rolled.service.primary.rollout_state_reason == "ECS deployment ecs-svc/2 in progress."
    rolled.run(30)
    assert rolled.events == [
        "(service web) has started 2 tasks: (task t3) (task t4).",
        "(service web) has stopped 2 running tasks: (task t1) (task t2).",
        "(service web) (deployment ecs-svc/2) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    assert rolled.tasks["t1"].stopped_reason == (
        "Scaling activity initiated by (deployment ecs-svc/2)"
    )
    assert [d.id for d in rolled.service.deployments] == ["ecs-svc/2"]


def test_a_deployment_is_not_done_before_the_old_tasks_have_drained() -> None:
    rolled = world(1, v1=Behaviour(has_load_balancer=True, drain_s=100))
    rolled.deploy("v2")
    rolled.run(60)
    assert len(rolled.live("v2")) == 1
    assert "ecs-svc/2) deployment completed" not in " ".join(rolled.events)
    assert [d.status for d in rolled.service.deployments] == [
        DeploymentStatus.PRIMARY,
        DeploymentStatus.ACTIVE,
    ]
    rolled.run(60)
    assert rolled.service.primary.rollout_state is RolloutState.COMPLETED


@pytest.mark.parametrize(
    ("desired", "minimum", "maximum"), [(2, 75, 100), (3, 100, 125), (1, 100, 100), (1, 100, 199)]
)
def test_limits_that_allow_no_move_are_said_once(desired: int, minimum: int, maximum: int) -> None:
    stuck = world(desired, minimum=minimum, maximum=maximum)
    stuck.deploy("v2")
    stuck.run(30)
    assert stuck.events.count(BOTH_BLOCKED) == 1
    assert not stuck.live("v2")
    assert len(stuck.healthy()) == desired


def test_without_room_above_old_tasks_stop_down_to_the_minimum_first() -> None:
    tight = world(4, minimum=50, maximum=100)
    tight.deploy("v2")
    tight.tick()
    assert len(tight.live("v1")) == 2
    tight.run(60)
    assert len(tight.live("v2")) == 4
    assert BOTH_BLOCKED not in tight.events
    assert tight.service.primary.rollout_state is RolloutState.COMPLETED


def test_full_service_is_kept_where_there_is_room_above() -> None:
    roomy = world(4, minimum=50, maximum=200)
    roomy.deploy("v2")
    roomy.tick()
    assert len(roomy.live("v1")) == 4
    assert len(roomy.live("v2")) == 4


def test_when_nothing_can_be_placed_the_minimum_makes_room() -> None:
    full = world(2, minimum=50, maximum=200)
    full.room = 2
    full.deploy("v2")
    full.run(120)
    assert events.unplaceable("web") in full.events
    assert {full.tasks[i].deployment_id for i in full.healthy()} == {"ecs-svc/2"}
    assert full.service.primary.rollout_state is RolloutState.COMPLETED


def test_a_service_that_cannot_be_placed_is_tried_again_after_five_minutes() -> None:
    full = world(1)
    full.room = 1
    full.deploy("v2")
    full.log.clear()
    full.run(50)
    soon = len(full.actions(StartTasks))
    full.run(300)
    assert soon == 10
    assert len(full.actions(StartTasks)) == soon + 1
    assert full.service.primary.failed_tasks == 1
    full.room = 2
    full.run(400)
    assert full.service.primary.rollout_state is RolloutState.COMPLETED
    assert full.service.primary.attempts.unplaced_since is None


def test_what_was_remembered_of_placement_ends_when_all_are_placed() -> None:
    full = world(1, v2=NEVER_HEALTHY)
    full.room = 1
    full.deploy("v2")
    full.run(10)
    full.room = 2
    full.run(7)
    assert len(full.live("v2")) == 1
    assert full.service.primary.attempts.unplaced_since is None


def test_an_unhealthy_task_is_replaced_before_it_is_stopped() -> None:
    ill = world(2)
    ill.sick.add("t1")
    ill.tick()
    assert ill.tasks["t1"].desired_status is TaskStatus.RUNNING
    assert len(ill.live()) == 3
    ill.run(30)
    assert ill.tasks["t1"].stopped_reason == (
        f"Task failed ELB health checks in (target-group {GROUP})"
    )
    assert ill.healthy() == {"t2", "t3"}
    assert ill.events[3:] == [
        f"(service web) (port 3000) is unhealthy in (target-group {GROUP}) "
        "due to (reason Health checks failed).",
        "(service web) has started 1 tasks: (task t3).",
        "(service web) has stopped 1 running tasks: (task t1).",
        "(service web) has reached a steady state.",
    ]


def test_without_room_unhealthy_tasks_are_stopped_one_by_one_above_the_minimum() -> None:
    ill = world(4, minimum=50, maximum=100)
    ill.sick |= {"t1", "t2"}
    ill.tick()
    assert len(ill.actions(StopTask)) == 1
    ill.run(60)
    assert ill.healthy() == {"t3", "t4", "t5", "t6"}


def test_unhealthy_new_tasks_stop_at_once_while_the_old_ones_serve() -> None:
    rolled = world(2, v2=NEVER_HEALTHY)
    rolled.deploy("v2")
    rolled.run(7)
    assert not rolled.actions(StopTask)
    rolled.tick()
    assert rolled.healthy() == {"t1", "t2"}
    assert [rolled.tasks[i].desired_status for i in ("t3", "t4")] == ["STOPPED", "STOPPED"]


def test_tasks_on_a_draining_instance_are_replaced_within_the_limits() -> None:
    moved = world(2)
    for name in ("t1", "t2"):
        moved.tasks[name] = replace(moved.tasks[name], leaving=True)
    moved.tick()
    assert len(moved.live()) == 4
    moved.run(30)
    assert moved.healthy() == {"t3", "t4"}


def test_pending_tasks_on_a_draining_instance_stop_at_once() -> None:
    moved = world(1)
    moved.scale(2)
    moved.tick()
    moved.tasks["t2"] = replace(moved.tasks["t2"], leaving=True)
    moved.tick()
    assert moved.tasks["t2"].desired_status is TaskStatus.STOPPED


def test_what_is_said_once_is_said_again_after_an_update() -> None:
    stuck = world(1, maximum=100)
    stuck.deploy("v2")
    stuck.run(5)
    stuck.scale(1)
    stuck.run(5)
    assert stuck.events.count(BOTH_BLOCKED) == 2


def test_a_steady_service_of_nothing_is_steady_again_after_a_deployment() -> None:
    empty = World(0, {"v1": BALANCED, "v2": BALANCED}).run(2)
    empty.deploy("v2")
    empty.run(2)
    assert empty.events.count(events.steady("web")) == 2


def test_taking_note_of_a_task_does_not_repeat_the_steady_event() -> None:
    told = world(2)
    told.tasks["t1"] = replace(told.tasks["t1"], was_healthy=False)
    assert told.tick() == [ConfirmTask("t1")]


def test_limits_of_100_and_100_leave_an_unhealthy_task_alone() -> None:
    ill = world(1, minimum=100, maximum=100)
    ill.sick.add("t1")
    ill.run(30)
    assert [t.id for t in ill.live()] == ["t1"]


def test_a_container_that_fails_its_health_check_is_reported_and_replaced() -> None:
    ill = world(1, v1=Behaviour(has_health_check=True))
    ill.sick.add("t1")
    ill.run(30)
    assert "(service web) (task t1) failed container health checks." in ill.events
    assert ill.tasks["t1"].stopped_reason == "Task failed container health checks"
    assert ill.healthy() == {"t2"}


def test_a_task_that_ends_by_itself_is_replaced() -> None:
    lost = world(2)
    lost.behaviours["v1"] = Behaviour(has_load_balancer=True, crashes_after_s=25)
    lost.tick()
    lost.behaviours["v1"] = BALANCED
    lost.run(30)
    assert lost.healthy() == {"t3", "t4"}
    assert lost.service.primary.failed_tasks == 0


def test_scaling_out_starts_and_scaling_in_stops_what_is_asked_for() -> None:
    scaled = world(2)
    scaled.scale(5)
    scaled.run(30)
    assert len(scaled.healthy()) == 5
    scaled.scale(1)
    scaled.run(30)
    assert len(scaled.healthy()) == 1
    assert scaled.events.count("(service web) has reached a steady state.") == 3
    assert "deployment completed" not in " ".join(scaled.events[3:])


def test_scaling_in_prefers_the_unhealthy_then_the_youngest() -> None:
    scaled = world(2)
    scaled.scale(3)
    scaled.run(20)
    scaled.sick.add("t1")
    scaled.scale(2)
    scaled.tick()
    assert {t.id for t in scaled.live()} == {"t2", "t3"}
    scaled.scale(1)
    scaled.tick()
    assert {t.id for t in scaled.live()} == {"t2"}


def test_scaling_to_nothing_ends_steady() -> None:
    scaled = world(2)
    scaled.scale(0)
    scaled.run(20)
    assert not scaled.present()
    assert scaled.events[-1] == "(service web) has reached a steady state."


def test_a_new_deployment_supersedes_one_in_progress() -> None:
    rolled = world(2, v2=NEVER_HEALTHY, v3=BALANCED)
    rolled.deploy("v2")
    rolled.run(4)
    rolled.deploy("v3")
    rolled.run(60)
    assert [d.task_definition for d in rolled.service.deployments] == ["v3"]
    assert len(rolled.live("v3")) == len(rolled.live()) == 2
    assert "(service web) (deployment ecs-svc/2) deployment completed." not in rolled.events


def test_tasks_of_a_superseded_deployment_that_never_ran_stop_at_once() -> None:
    rolled = world(2, v2=Behaviour(has_load_balancer=True, start_s=50), v3=BALANCED)
    rolled.deploy("v2")
    rolled.run(3)
    rolled.deploy("v3")
    rolled.tick()
    assert not rolled.live("v2")


def test_a_forced_deployment_of_the_same_task_definition_replaces_every_task() -> None:
    rolled = world(2)
    rolled.deploy("v1")
    rolled.run(30)
    assert rolled.healthy() == {"t3", "t4"}


def test_retired_deployments_are_named_once() -> None:
    rolled = world(2)
    rolled.deploy("v2")
    rolled.run(30)
    assert rolled.actions(RetireDeployment) == [RetireDeployment("ecs-svc/1")]


def test_a_drained_service_stops_its_tasks_and_becomes_inactive() -> None:
    gone = world(2)
    gone.drain()
    statuses = [gone.service.status]
    gone.run(3)
    statuses.append(gone.service.status)
    assert not gone.live()
    gone.run(20)
    statuses.append(gone.service.status)
    assert statuses == [ServiceStatus.DRAINING, ServiceStatus.DRAINING, ServiceStatus.INACTIVE]


def test_a_service_of_nothing_completes_at_once() -> None:
    empty = World(0)
    empty.tick()
    assert empty.events == [events.completed("web", "ecs-svc/1"), events.steady("web")]


def test_a_steady_service_asks_for_nothing() -> None:
    assert world().tick() == []
