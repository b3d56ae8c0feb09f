from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaiun.deploy.evidence import Failure, failure_of, proves_bad, stopped_by_itself

if TYPE_CHECKING:
    from kaiun.aws.types import Task

CRASH = Failure("web", "t1", "web", 1, "Essential container in task exited", "X", 1.0)
SLOW_PULL = Failure("web", "t2", "web", None, "CannotPullContainerError: i/o timeout", "X", 1.0)
NO_IMAGE = Failure("web", "t3", "web", None, "CannotPullContainerError: not found", "X", 1.0)


def task(code: str, reason: str = "") -> Task:
    return {
        "taskArn": "arn:aws:ecs:x:0:task/c/abc",
        "stopCode": code,
        "stoppedReason": reason,
        "containers": [{"name": "web"}],
    }


@pytest.mark.parametrize(
    ("code", "reason", "counts"),
    [
        ("EssentialContainerExited", "Essential container in task exited", True),
        ("TaskFailedToStart", "CannotPullContainerError: …", True),
        ("ServiceSchedulerInitiated", "Task failed ELB health checks in (…)", True),
        ("ServiceSchedulerInitiated", "Task failed container health checks", True),
        ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment x)", False),
        ("UserInitiated", "by hand", False),
        ("SpotInterruption", "Your Spot Task was interrupted.", False),
    ],
)
def test_only_what_stopped_by_itself_counts(code: str, reason: str, counts: bool) -> None:
    assert stopped_by_itself(task(code, reason)) is counts


@pytest.mark.parametrize(
    ("failures", "desired", "alive", "healthy", "bad"),
    [
        ([], 2, 0, 0, False),
        ([CRASH], 1, 1, 0, True),
        ([CRASH], 2, 1, 0, False),
        ([CRASH], 2, 0, 0, True),
        ([CRASH, CRASH], 2, 2, 0, True),
        ([NO_IMAGE], 1, 1, 0, True),
        ([SLOW_PULL], 1, 1, 0, False),
        ([SLOW_PULL, SLOW_PULL], 1, 1, 0, True),
        ([CRASH], 4, 3, 2, False),
        ([CRASH, CRASH], 4, 3, 2, True),
        ([CRASH, CRASH], 40, 38, 20, False),
    ],
)
def test_how_many_failures_prove_a_release_bad(
    failures: list[Failure], desired: int, alive: int, healthy: int, bad: bool
) -> None:
    assert proves_bad(failures, desired=desired, alive=alive, healthy=healthy) is bad


def test_the_container_that_ended_badly_is_blamed() -> None:
    stopped = task("EssentialContainerExited", "Essential container in task exited")
    stopped["containers"] = [
        {"name": "proxy", "exitCode": 0},
        {"name": "web", "exitCode": 1},
        {"name": "side", "exitCode": 137},
    ]
    failure = failure_of("shop-web", stopped)
    assert (failure.container, failure.exit_code, failure.task) == ("web", 1, "abc")


def test_a_failure_reads_as_one_sentence() -> None:
    killed = task("EssentialContainerExited", "Essential container in task exited")
    reason = "OutOfMemoryError: Container killed due to memory usage"
    killed["containers"] = [{"name": "web", "exitCode": 137, "reason": reason}]
    assert failure_of("web", killed).sentence() == (
        "task abc, container web, exit code 137: Essential container in task exited"
        " · OutOfMemoryError: Container killed due to memory usage"
    )
