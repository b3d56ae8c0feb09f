"""What a policy may do: target tracking, bounds, cooldowns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.scaling import tracking
from kaiun.scaling.decision import Bounds, Decision, Held, Memory, Pace, decide, remembered

BOUNDS = Bounds(1, 10)
FRESH = Pace(Memory(), now=1000)


def to(capacity: int, pace: Pace = FRESH, *, now: int = 4, may_shrink: bool = True) -> Decision:
    return decide(lambda _: capacity, now, BOUNDS, pace, may_shrink=may_shrink)


@pytest.mark.parametrize(
    ("capacity", "value", "expected"),
    [(2, 100, 4), (2, 51, 3), (4, 50, 4), (4, 20, 2), (1, 0, 1), (0, 60, 1), (0, 0, 0),
     (3, 50.0000000001, 3)],
)  # fmt: skip
def test_capacity_follows_the_metric_in_proportion(
    capacity: int, value: float, expected: int
) -> None:
    assert tracking.wants(capacity, value, 50) == expected


@given(st.integers(1, 500), st.floats(0, 1e6), st.floats(0.01, 1e6))
def test_tracked_capacity_brings_a_shared_load_to_the_target(
    capacity: int, value: float, target: float
) -> None:
    wanted = tracking.wants(capacity, value, target)
    assert wanted >= 1
    assert value * capacity / wanted <= target * (1 + 1e-6)
    assert wanted == 1 or value * capacity / (wanted - 1) > target * (1 - 1e-6)


def test_alarms_of_target_tracking_are_those_of_aws() -> None:
    high, low = tracking.high_rule(75), tracking.low_rule(75)
    assert (high.threshold, high.periods, high.to_alarm) == (75, 3, 3)
    assert (low.threshold, low.periods, low.to_alarm) == (67.5, 15, 15)


@pytest.mark.parametrize(
    ("wanted", "now", "expected"),
    [
        (7, 4, Decision(7)), (2, 4, Decision(2)), (99, 4, Decision(10)), (0, 4, Decision(1)),
        (99, 10, Decision(10, Held.MAX)), (0, 1, Decision(1, Held.MIN)),
        (4, 4, Decision(4, Held.DESIRED)), (13, 12, Decision(10)),
    ],
)  # fmt: skip
def test_capacity_stays_within_bounds(wanted: int, now: int, expected: Decision) -> None:
    assert to(wanted, now=now) == expected


def test_what_was_added_counts_while_a_scale_out_cools_down() -> None:
    pace = Pace(Memory(out_at=900, out_from=4), now=1000)
    small = decide(lambda n: n + 2, 6, BOUNDS, pace)
    assert small == Decision(6, Held.COOLING)
    assert decide(lambda n: n + 5, 6, BOUNDS, pace) == Decision(9)
    later = Pace(pace.memory, now=1200)
    assert decide(lambda n: n + 2, 6, BOUNDS, later) == Decision(8)


def test_scale_in_waits_for_its_cooldown_and_a_scale_out_does_not() -> None:
    pace = Pace(Memory(in_at=900), now=1000)
    assert to(2, pace) == Decision(4, Held.COOLING)
    assert to(7, pace) == Decision(7)
    assert to(2, Pace(pace.memory, now=1200)) == Decision(2)


def test_nothing_shrinks_while_a_deployment_is_in_progress() -> None:
    assert to(2, may_shrink=False) == Decision(4, Held.UNSCALABLE)
    assert to(7, may_shrink=False) == Decision(7)


def test_policy_remembers_both_directions() -> None:
    grown = remembered(Memory(), 4, Decision(7), 100)
    assert grown == Memory(out_at=100, out_from=4)
    assert remembered(grown, 7, Decision(5), 200) == Memory(100, 4, 200)
