"""Step scaling; the numbers are those of the user guide's examples."""

from __future__ import annotations

import math

import pytest

from kaiun.scaling.steps import Adjustment, Step, StepPolicy, problem_of

PERCENT = StepPolicy(
    Adjustment.PERCENT,
    (Step(0, 0, 10), Step(10, 10, 20), Step(30, 20), Step(0, -10, 0), Step(-10, -20, -10),
     Step(-30, -math.inf, -20)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("breach", "expected"),
    [(0, 10), (5, 10), (10, 11), (15, 11), (20, 13), (500, 13), (-5, 10), (-10, 9), (-15, 9),
     (-20, 7), (-99, 7)],
)  # fmt: skip
def test_step_is_that_of_the_breach(breach: float, expected: int) -> None:
    assert PERCENT.wants(10, breach) == expected


@pytest.mark.parametrize(
    ("percent", "capacity", "expected"),
    [(127, 10, 22), (67, 10, 16), (5, 10, 11), (-58, 10, 5), (-6, 10, 9), (-1, 1, 0), (50, 0, 0)],
)
def test_percent_is_rounded_towards_nought_but_never_to_it(
    percent: int, capacity: int, expected: int
) -> None:
    policy = StepPolicy(Adjustment.PERCENT, (Step(percent),))
    assert policy.wants(capacity, 1) == expected


def test_percent_changes_by_so_many_at_least() -> None:
    policy = StepPolicy(Adjustment.PERCENT, (Step(25, 0), Step(-25, -math.inf, 0)), least=2)
    assert policy.wants(4, 1) == 6
    assert policy.wants(4, -1) == 2
    assert policy.wants(100, 1) == 125


def test_change_and_exact_capacity() -> None:
    assert StepPolicy(Adjustment.CHANGE, (Step(3, 0),)).wants(4, 0) == 7
    assert StepPolicy(Adjustment.CHANGE, (Step(-3, high=0),)).wants(4, 0) == 1
    assert StepPolicy(Adjustment.EXACT, (Step(3, 0),)).wants(40, 7) == 3
    assert StepPolicy(Adjustment.CHANGE, (Step(3, 10),)).wants(4, 7) == 4


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((Step(1, 0, 10), Step(2, 10)), ""),
        ((Step(1, 0, 10), Step(2, 9)), "steps must not overlap"),
        ((Step(1, 0, 10), Step(2, 11)), "there must not be a gap between steps"),
        ((Step(1, 5, 5),), "the lower bound of a step must be below its upper bound"),
    ],
)
def test_steps_neither_overlap_nor_gap(steps: tuple[Step, ...], expected: str) -> None:
    assert problem_of(steps) == expected
