from __future__ import annotations

import pytest

from kaiun.scheduler.health import Verdict, judge
from kaiun.scheduler.model import (
    Deployment,
    Health,
    ServiceState,
    Target,
    TargetState,
    Task,
    TaskStatus,
)
from kaiun.scheduler.service import due


def verdict(
    age: float,
    *,
    checked: bool = False,
    balanced: bool = False,
    health: Health = Health.UNKNOWN,
    targets: tuple[TargetState, ...] = (),
    grace_s: float = 0,
    status: TaskStatus = TaskStatus.RUNNING,
) -> Verdict:
    deployment = Deployment("ecs-svc/1", "v1", has_health_check=checked, has_load_balancer=balanced)
    service = ServiceState("web", 1, (deployment,), grace_period_s=grace_s)
    task = Task(
        "t1",
        "ecs-svc/1",
        last_status=status,
        running_since=0.0,
        health=health,
        targets=tuple(Target("arn", 80, state) for state in targets),
    )
    return judge(task, deployment, service, age)


def test_a_task_without_any_check_is_healthy_40_seconds_after_running() -> None:
    assert verdict(39.9) is Verdict.WAITING
    assert verdict(40) is Verdict.HEALTHY


@pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.ACTIVATING])
def test_a_task_that_is_not_running_is_not_healthy(status: TaskStatus) -> None:
    assert verdict(1000, status=status) is Verdict.WAITING


def test_a_health_check_has_to_pass_and_then_the_40_seconds_do_not_matter() -> None:
    assert verdict(1000, checked=True) is Verdict.WAITING
    assert verdict(1, checked=True, health=Health.HEALTHY) is Verdict.HEALTHY
    assert verdict(1, checked=True, health=Health.UNHEALTHY) is Verdict.UNHEALTHY


def test_every_target_has_to_be_healthy() -> None:
    up, initial, down = TargetState.HEALTHY, TargetState.INITIAL, TargetState.UNHEALTHY
    assert verdict(1000, balanced=True) is Verdict.WAITING
    assert verdict(1, balanced=True, targets=(up, initial)) is Verdict.WAITING
    assert verdict(1, balanced=True, targets=(up, up)) is Verdict.HEALTHY
    assert verdict(1, balanced=True, targets=(up, down)) is Verdict.UNHEALTHY


def test_with_both_checks_both_have_to_pass() -> None:
    up = (TargetState.HEALTHY,)
    assert verdict(1, balanced=True, checked=True, targets=up) is Verdict.WAITING
    passing = verdict(1, balanced=True, checked=True, targets=up, health=Health.HEALTHY)
    assert passing is Verdict.HEALTHY


@pytest.mark.parametrize(
    "failing",
    [
        {"balanced": True, "targets": (TargetState.UNHEALTHY,)},
        {"checked": True, "health": Health.UNHEALTHY},
    ],
)
def test_the_grace_period_covers_targets_and_containers_alike(failing: dict[str, object]) -> None:
    assert verdict(59, grace_s=60, **failing) is Verdict.WAITING  # type: ignore[arg-type]
    assert verdict(60, grace_s=60, **failing) is Verdict.UNHEALTHY  # type: ignore[arg-type]


def test_passing_within_the_grace_period_counts() -> None:
    up = (TargetState.HEALTHY,)
    assert verdict(1, balanced=True, targets=up, grace_s=60) is Verdict.HEALTHY


def test_due_says_when_the_clock_alone_changes_something() -> None:
    deployment = Deployment("ecs-svc/1", "v1")
    service = ServiceState("web", 1, (deployment,))
    task = Task("t1", "ecs-svc/1", last_status=TaskStatus.RUNNING, running_since=100.0)
    assert due(service, [task], 120.0) == 140.0
    assert due(service, [task], 140.0) is None
