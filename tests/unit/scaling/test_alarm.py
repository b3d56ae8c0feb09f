"""When an alarm is in ALARM; the tables are those of CloudWatch's user guide."""

from __future__ import annotations

import pytest

from kaiun.scaling.alarm import AlarmState, Comparison, Missing, Rule, evaluate, reason

RETAIN = AlarmState.INSUFFICIENT_DATA  # the state that the alarm has before
OK, ALARM, UNKNOWN = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA
KINDS = (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)
VALUES = {"0": 0.0, "X": 9.0, "-": None}


def judge(points: str, missing: Missing, to_alarm: int) -> AlarmState:
    rule = Rule(Comparison.ABOVE, 5.0, periods=3, to_alarm=to_alarm, missing=missing)
    return evaluate(rule, [VALUES[p] for p in points.split()], RETAIN).state


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ("0 - X - X", (OK, OK, OK, OK)),
        ("0 - - - -", (OK, OK, OK, OK)),
        ("- - - - -", (UNKNOWN, RETAIN, ALARM, OK)),
        ("0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", (ALARM, RETAIN, ALARM, OK)),
        ("- - - - X", (RETAIN, RETAIN, ALARM, OK)),
    ],
)
def test_three_out_of_three(points: str, expected: tuple[AlarmState, ...]) -> None:
    assert tuple(judge(points, kind, 3) for kind in KINDS) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ("0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", (OK, OK, ALARM, OK)),
        ("- - - - 0", (OK, OK, ALARM, OK)),
        ("- - - X -", (ALARM, RETAIN, ALARM, OK)),
    ],
)
def test_two_out_of_three(points: str, expected: tuple[AlarmState, ...]) -> None:
    assert tuple(judge(points, kind, 2) for kind in KINDS) == expected


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        (Comparison.ABOVE, [6]), (Comparison.AT_LEAST, [5, 6]), (Comparison.BELOW, [4]),
        (Comparison.AT_MOST, [4, 5]),
    ],
)  # fmt: skip
def test_threshold_itself_counts_by_the_comparison(
    comparison: Comparison, breaching: list[float]
) -> None:
    rule = Rule(comparison, 5.0, periods=1, to_alarm=1)
    found = [n for n in (4, 5, 6) if evaluate(rule, [None, None, float(n)], OK).state is ALARM]
    assert found == breaching


def test_reason_says_what_it_rests_on() -> None:
    rule = Rule(Comparison.AT_LEAST, 5.0, periods=3, to_alarm=2)
    verdict = evaluate(rule, [None, None, 1.0, 6.0, 7.0], OK)
    assert verdict.decisive == (3, 4)
    assert reason(rule, verdict, ["6.0 (a)", "7.0 (b)"], OK) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [7.0 (b), 6.0 (a)] were greater than or "
        "equal to the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    nothing = evaluate(rule, [None] * 5, OK)
    assert reason(rule, nothing, [], OK) == "Insufficient Data: 3 datapoints were unknown."
