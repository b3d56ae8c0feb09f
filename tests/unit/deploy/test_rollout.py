from __future__ import annotations

import pytest
from support.ecs_story import (
    NEW,
    OLD,
    T0,
    Story,
    deployment,
    event,
    follow,
    good,
    history,
    old,
    service,
)

from kaiun.deploy.eventlog import past
from kaiun.deploy.rollout import Progress, Verdict, advance, begin


def play(story: Story, until: float, step: float = 0.5) -> Progress:
    progress = begin(follow(), story.at(0))
    second = 0.0
    while second < until and not progress.over:
        second += step
        progress = advance(progress, story.at(second), T0 + second)
    return progress


def test_a_good_rollout_is_done_only_when_the_old_tasks_are_gone() -> None:
    story = good(boot=20, drain=30, leave=1)
    assert play(story, 50).verdict is Verdict.IN_PROGRESS
    done = play(story, 60)
    assert (done.verdict, done.old, done.new, done.healthy) == (Verdict.DONE, 0, 2, 2)


def test_events_come_once_and_in_order() -> None:
    story = good()
    progress = begin(follow(), story.at(0))
    told: list[str] = []
    for second in range(1, 60):
        progress = advance(progress, story.at(second), T0 + second)
        told += [seen.message for seen in progress.new_events]
    assert [text.split()[3] for text in told] == ["started", "begun", NEW + ")", "reached"]


def test_events_from_before_the_deployment_are_not_told() -> None:
    story = Story([(0, [deployment(NEW, 2, 0, 2), old()])], history())
    assert play(story, 1).new_events == ()


def test_stable_counts_are_not_enough() -> None:
    still = service([deployment(NEW, 2, 2, state="IN_PROGRESS")])
    assert begin(follow(), still).verdict is Verdict.IN_PROGRESS


def test_a_service_without_rollout_states_is_done_by_its_counts() -> None:
    plain = deployment(NEW, 2, 2)
    del plain["rolloutState"]
    assert begin(follow(), service([plain, old()])).verdict is Verdict.IN_PROGRESS
    assert begin(follow(), service([plain])).verdict is Verdict.DONE


def test_new_tasks_are_proven_healthy_by_the_retirement_of_old_ones() -> None:
    one_left = service([deployment(NEW, 2, 2), old(1)])
    first = begin(follow(), service([deployment(NEW, 2, 0, 2), old()]))
    assert first.healthy == 0
    assert advance(first, one_left, T0 + 5).healthy == 1


def test_nothing_is_proven_healthy_on_a_first_deploy_before_ecs_says_so() -> None:
    assert begin(follow(), service([deployment(NEW, 2, 2)])).healthy == 0


def test_a_rollback_by_the_breaker_that_ends_stable_is_a_failure() -> None:
    failing = f"ECS deployment circuit breaker: rolling back to deploymentId {OLD}."
    story = Story(
        [
            (0, [deployment(NEW, 2, 0, 2), old()]),
            (5, [deployment(NEW, 2, 0, 1, failed=3), old()]),
            (
                9,
                [
                    old(status="PRIMARY"),
                    deployment(NEW, 0, 0, status="ACTIVE", state="FAILED", reason=failing),
                ],
            ),
            (10, [old(status="PRIMARY")]),
        ]
    )
    failed = play(story, 20)
    assert failed.verdict is Verdict.FAILED
    assert failed.rolled_back_by_ecs
    assert failed.cause == failing


def test_a_rollback_seen_only_when_it_is_over_is_a_failure_still() -> None:
    story = Story(
        [(0, [deployment(NEW, 2, 0, 2), old()]), (10, [old(status="PRIMARY")])],
        [event(8, f"(deployment {NEW}) deployment failed: tasks failed to start.")],
    )
    failed = play(story, 20, step=20)
    assert failed.verdict is Verdict.FAILED
    assert "tasks failed to start" in failed.cause


def test_a_breaker_without_anything_to_go_back_to_is_a_failure_not_a_rollback() -> None:
    reason = "ECS deployment circuit breaker: tasks failed to start."
    story = Story(
        [
            (0, [deployment(NEW, 2, 0, 2)]),
            (5, [deployment(NEW, 2, 0, state="FAILED", reason=reason, failed=3)]),
        ]
    )
    failed = play(story, 20)
    assert (failed.verdict, failed.rolled_back_by_ecs) == (Verdict.FAILED, False)


@pytest.mark.parametrize("mine_is_listed", [True, False])
def test_another_deployers_deployment_supersedes(mine_is_listed: bool) -> None:
    mine = [deployment(NEW, 2, 1, status="ACTIVE")] if mine_is_listed else []
    story = Story(
        [
            (0, [deployment(NEW, 2, 0, 2), old()]),
            (5, [deployment("ecs-svc/3", 2, 0, 2), *mine, old()]),
        ]
    )
    over = play(story, 20)
    assert over.verdict is Verdict.SUPERSEDED
    assert "ecs-svc/3" in over.cause


def test_scaling_during_the_deploy_changes_what_is_waited_for() -> None:
    story = Story(
        [
            (0, [deployment(NEW, 2, 0, 2), old()]),
            (5, [deployment(NEW, 4, 2, 2), old(0)]),
            (9, [deployment(NEW, 4, 4, state="COMPLETED")]),
        ]
    )
    assert play(story, 8).verdict is Verdict.IN_PROGRESS
    done = play(story, 10)
    assert (done.verdict, done.desired, done.suspicion) == (Verdict.DONE, 4, 0)


def test_a_deployment_that_can_neither_start_nor_stop_tasks_has_failed() -> None:
    text = (
        "was unable to stop or start tasks during a deployment because of the service deployment"
        " configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )
    story = Story([(0, [deployment(NEW, 1, 0), old(1)])], [event(2, text)])
    assert play(story, 3).verdict is Verdict.FAILED


def test_a_deleted_service_has_failed() -> None:
    progress = begin(follow(), good().at(0))
    assert advance(progress, None, T0 + 40).verdict is Verdict.FAILED


def test_a_read_that_does_not_know_our_deployment_yet_is_passed_over() -> None:
    progress = begin(follow(), good().at(0))
    before = service([old(status="PRIMARY")], history())
    assert advance(progress, before, T0 + 1).verdict is Verdict.IN_PROGRESS
    assert advance(progress, None, T0 + 1).verdict is Verdict.IN_PROGRESS
    assert advance(progress, before, T0 + 40).verdict is Verdict.SUPERSEDED


def test_a_crash_loop_raises_suspicion_though_ecs_counts_no_failure() -> None:
    story = Story(
        [(0, [deployment(NEW, 2, 0, 2), old()])],
        [
            event(0.2, "has started 2 tasks: (task a) (task b)."),
            event(6, "has started 1 tasks: (task c)."),
        ],
    )
    assert play(story, 5).suspicion == 0
    assert play(story, 7).suspicion == 1


def test_an_unhealthy_target_raises_suspicion() -> None:
    text = "(port 3000) is unhealthy in (target-group arn) due to (reason Health checks failed)."
    story = Story([(0, [deployment(NEW, 2, 2), old()])], [event(6, text)])
    assert play(story, 7).suspicion == 1


def test_a_good_rollout_raises_none() -> None:
    assert play(good(), 60).suspicion == 0


def test_the_last_rollout_tells_how_long_this_one_will_take() -> None:
    assert past(history(boot=20, retire=31), T0) == (20, 31)
    assert past([], T0) == (None, None)


def test_a_first_rollout_tells_how_long_tasks_take_to_be_healthy() -> None:
    events = [e for e in history(boot=20, retire=4) if "stopped" not in e["message"]]
    assert past(events, T0) == (24, None)
