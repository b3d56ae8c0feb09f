"""Where deployments that shift traffic stand, and how long they may stand there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.ecs_story import NEW, T0, deployment, follow, old, service

from kaiun.deploy.events import Event, Note
from kaiun.deploy.rollout import Progress, Verdict, begin
from kaiun.deploy.staged import Standing, longest_bake_s, placed, read
from kaiun.deploy.watch import Watch
from kaiun.errors import AwsError

ARN = "arn:aws:ecs:eu-west-1:123456789012:service-deployment/c/web/1"


def told(stage: str, weight: float = 0.0, *hooks: tuple[str, str]) -> Any:
    return {
        "serviceDeploymentArn": ARN,
        "lifecycleStage": stage,
        "targetServiceRevision": {"requestedProductionTrafficWeight": weight},
        "lifecycleHookDetails": [{"hookId": i, "status": status} for i, status in hooks],
    }


def under_way() -> Progress:
    """Return the progress of a rollout whose tasks all run beside the old ones."""
    started = begin(follow(), service([deployment(NEW, 2, 2, state="IN_PROGRESS"), old()]))
    return replace(started, follow=replace(started.follow, staged=ARN))


@pytest.mark.parametrize(
    ("rules", "minutes"),
    [
        ({}, 0),
        ({"strategy": "ROLLING", "bakeTimeInMinutes": 5}, 0),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}, 5),
        ({"strategy": "CANARY", "bakeTimeInMinutes": 5, "canaryConfiguration": {}}, 10),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepBakeTimeInMinutes": 90}}, 90),
    ],
)
def test_the_longest_bake_is_how_long_nothing_may_move(rules: Any, minutes: int) -> None:
    assert longest_bake_s({"deploymentConfiguration": rules}) == 60 * minutes


def test_new_tasks_are_proven_once_the_scale_up_is_over() -> None:
    progress = under_way()
    assert placed(progress, read(told("SCALE_UP")), T0 + 5).healthy == 0
    assert placed(progress, read(told("BAKE_TIME", 100.0)), T0 + 5).healthy == 2


def test_a_new_stage_is_movement_and_an_old_one_is_not() -> None:
    first = placed(under_way(), read(told("BAKE_TIME", 100.0)), T0 + 5)
    again = placed(first, read(told("BAKE_TIME", 100.0)), T0 + 50)
    assert (first.changed_at, again.changed_at) == (T0 + 5, T0 + 5)


@pytest.mark.parametrize("status", ["AWAITING_ACTION", "IN_PROGRESS"])
def test_waiting_for_a_hook_is_no_standstill(status: str) -> None:
    standing = read(told("POST_SCALE_UP", 0.0, ("h", status)))
    again = placed(placed(under_way(), standing, T0 + 5), standing, T0 + 5000)
    assert again.changed_at == T0 + 5000


def test_what_it_stands_at_is_said_in_words() -> None:
    assert str(read(told("PRODUCTION_TRAFFIC_SHIFT", 5.0))) == (
        "PRODUCTION_TRAFFIC_SHIFT, 5 % of the traffic"
    )
    assert not str(Standing())


class Clock:
    """A clock that sleeping moves on; the rollout ends after `end_s`."""

    def __init__(self, end_s: float) -> None:
        self.now = T0
        self.end = T0 + end_s
        self.events: list[Event] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def fetch(self, _names: object) -> Any:
        assert self.now < self.end + 7200, "followed for ever"
        over = [deployment(NEW, 2, 2, state="COMPLETED")]
        live = over if self.now > self.end else [deployment(NEW, 2, 2, state="IN_PROGRESS"), old()]
        return {follow().service: service(live)}

    def watch(self, stages: Any) -> Watch:
        return Watch(
            self.fetch, self.events.append, lambda _progress: False, stages,
            stuck_s=60, clock=lambda: self.now, sleep=self.sleep,
        )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def test_a_pause_of_hours_is_waited_for_and_told_once() -> None:
    clock = Clock(end_s=4 * 3600)
    paused = read(told("POST_SCALE_UP", 0.0, ("ecs-pause-1", "AWAITING_ACTION")))
    (ended,) = clock.watch(lambda _arns: {ARN: paused}).follow([under_way()])
    assert ended.verdict is Verdict.DONE
    (note,) = clock.notes
    assert "pauses at POST_SCALE_UP" in note
    assert f"--service-deployment-arn {ARN} --hook-id ecs-pause-1 --action CONTINUE" in note


def test_a_bake_is_waited_for_but_not_forever() -> None:
    baking = read(told("BAKE_TIME", 100.0))
    progress = under_way()
    patient = replace(progress, follow=replace(progress.follow, bake_s=600.0))
    (ended,) = Clock(end_s=600).watch(lambda _arns: {ARN: baking}).follow([patient])
    assert ended.verdict is Verdict.DONE
    (ended,) = Clock(end_s=6000).watch(lambda _arns: {ARN: baking}).follow([patient])
    assert ended.cause.startswith("nothing has moved for")


def test_without_the_permission_to_look_the_rollout_is_followed_all_the_same() -> None:
    def refused(_arns: object) -> Any:
        raise AwsError("no permission", code="AccessDeniedException")

    clock = Clock(end_s=30)
    (ended,) = clock.watch(refused).follow([under_way()])
    assert (ended.verdict, clock.notes) == (Verdict.DONE, [])
