"""How many calls a rollout costs, and how late its end is noticed, on a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from support.ecs_story import NEW, OLD, T0, Story, deployment, event, follow, good, history, old

from kaiun.deploy.pace import Pace
from kaiun.deploy.rollout import Follow, Progress, Verdict, begin
from kaiun.deploy.watch import Watch
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.types import Service


@dataclass
class Played:
    """A watch over one story; time passes only when the watch sleeps."""

    story: Story
    drain_s: float = 30.0
    pace: Pace = field(default_factory=Pace)
    bad_from: float | None = None
    away: Sequence[float] = ()
    now: float = T0
    calls: int = 0
    told: list[Progress] = field(default_factory=list)

    def fetch(self, names: Sequence[str]) -> Mapping[str, Service]:
        self.calls += 1
        assert list(names) == ["web"]
        if self.away and self.away[0] <= self.now - T0 < self.away[1]:
            raise AwsError("nobody there", code="Unreachable")
        return {"web": self.story.at(self.now - T0)}

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def examine(self, progress: Progress) -> bool:
        self.calls += 2
        return self.bad_from is not None and self.now - T0 >= self.bad_from

    def run(self, followed: Follow | None = None) -> Progress:
        watch = Watch(
            fetch=self.fetch,
            listener=lambda _: None,
            examine=self.examine,
            pace=self.pace,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        followed = followed or replace(follow(), drain_s=self.drain_s)
        return watch.follow([begin(followed, self.story.at(0))])[0]

    @property
    def seconds(self) -> float:
        return self.now - T0


def with_history(story: Story, boot: float, retire: float) -> Story:
    return replace(story, events=[*history(boot, retire), *story.events])


@pytest.mark.parametrize("leave", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("boot", [5.0, 20.0, 28.0])
def test_the_end_after_a_full_drain_is_seen_within_a_second(boot: float, leave: float) -> None:
    played = Played(good(boot=boot, drain=30, leave=leave))
    assert played.run().verdict is Verdict.DONE
    assert played.seconds - (boot + 30 + leave) <= 1.0
    assert played.calls <= 15


@pytest.mark.parametrize("boot", [18.0, 20.0, 22.0])
def test_a_minute_long_rollout_with_a_history_costs_ten_polls_at_most(boot: float) -> None:
    story = with_history(good(boot=boot, drain=38, leave=1), boot=20, retire=39)
    played = Played(story, drain_s=38)
    assert played.run().verdict is Verdict.DONE
    assert played.seconds - (boot + 39) <= 1.0
    assert played.calls <= 10


def test_with_a_history_an_early_drain_is_seen_within_a_second() -> None:
    played = Played(with_history(good(boot=21, drain=2, leave=0.5), boot=20, retire=2.5))
    played.run()
    assert played.seconds - 23.5 <= 1.0
    assert played.calls <= 12


def test_while_old_tasks_only_drain_hardly_anything_is_asked() -> None:
    played = Played(good(boot=1, drain=50, leave=2), drain_s=50)
    played.run()
    assert played.seconds - 53 <= 1.0
    assert played.calls <= 8


def test_a_change_of_count_is_followed_quickly_though_its_deployment_is_old() -> None:
    grown = [deployment(OLD, 3, 3, state="COMPLETED")]
    story = Story([(0, [deployment(OLD, 3, 2, state="COMPLETED")]), (1.5, grown)])
    played = Played(story)
    old_one = replace(follow(), deployment=OLD, created_at=T0 - 500)
    assert played.run(old_one).verdict is Verdict.DONE
    assert played.seconds <= 3.0


def test_a_service_without_load_balancer_is_expected_when_ecs_calls_it_healthy() -> None:
    story = good(boot=7, drain=0, leave=0.5)
    played = Played(story, drain_s=0, pace=Pace(steady_s=6))
    played.run()
    assert played.seconds - 7.5 <= 1.0
    assert played.calls <= 8


def test_a_long_rollout_does_not_poll_more_and_more() -> None:
    played = Played(good(boot=200, drain=39, leave=1), drain_s=39)
    played.run()
    assert played.calls <= 40


def crashing(at: float) -> Story:
    return Story(
        [
            (0, [deployment(NEW, 2, 0, 2), old()]),
            (at, [deployment(NEW, 2, 0, 2, failed=2), old()]),
        ],
        [event(0.1, "has started 2 tasks: (task a) (task b).")],
    )


@pytest.mark.parametrize("at", [1.0, 4.0, 10.0, 25.0])
def test_a_crash_is_seen_within_seconds(at: float) -> None:
    played = Played(crashing(at), bad_from=at)
    assert played.run().verdict is Verdict.FAILED
    assert played.seconds - at <= 8.0


def test_suspicion_that_proves_nothing_is_not_examined_again_and_again() -> None:
    played = Played(crashing(3))
    played.story = replace(
        played.story,
        moments=[*played.story.moments, (20, [deployment(NEW, 2, 2, state="COMPLETED")])],
    )
    assert played.run().verdict is Verdict.DONE
    assert played.calls <= 12


def test_nothing_moving_for_very_long_is_a_failure() -> None:
    played = Played(Story([(0, [deployment(NEW, 2, 0, 2), old()])]))
    ended = played.run()
    assert ended.verdict is Verdict.FAILED
    assert "nothing has moved" in ended.cause


def test_an_engine_that_is_restarted_meanwhile_is_waited_for() -> None:
    played = Played(good(boot=5, drain=2, leave=0), away=(4, 20))
    assert played.run().verdict is Verdict.DONE
    assert played.seconds < 25


def test_an_aws_that_stays_away_is_an_error() -> None:
    with pytest.raises(AwsError, match="nobody there"):
        Played(good(), away=(1, 10_000)).run()
