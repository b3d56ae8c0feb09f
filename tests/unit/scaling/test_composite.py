"""Rules of composite alarms."""

from __future__ import annotations

import pytest

from kaiun.scaling.alarm import AlarmState
from kaiun.scaling.composite import parse

STATES = {
    "a": AlarmState.ALARM, "b c": AlarmState.OK, "d": AlarmState.INSUFFICIENT_DATA,
    "arn:aws:cloudwatch:us-east-1:000000000000:alarm:e": AlarmState.ALARM,
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(a)", True),
        ('OK("b c")', True),
        ("ALARM(d)", False),
        ("INSUFFICIENT_DATA( d )", True),
        ("NOT ALARM(a)", False),
        ('ALARM(a) AND OK("b c")', True),
        ("ALARM(d) OR ALARM(a)", True),
        ("ALARM(a) OR ALARM(a) AND ALARM(d)", True),
        ("(ALARM(a) OR ALARM(a)) AND ALARM(d)", False),
        ("NOT ALARM(d) AND NOT (OK(a) OR OK(d))", True),
        ("TRUE AND NOT FALSE", True),
        ("ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:e)", True),
    ],
)
def test_rule_holds_by_the_states_of_its_alarms(rule: str, expected: bool) -> None:
    assert parse(rule).holds(STATES.__getitem__) is expected


def test_rule_names_its_alarms_once() -> None:
    assert parse('ALARM(a) OR OK("b c") AND NOT OK(a)').names == ("a", "b c")


@pytest.mark.parametrize(
    "rule",
    ["", "ALARM", "ALARM()", "ALARM(a) ALARM(a)", "AND", "NOT", "(ALARM(a)", "ALARM(a))", "X(a)",
     'ALARM("a)', "ALARM(a) XOR OK(a)", "(" * 5000],
)  # fmt: skip
def test_what_is_no_rule_is_said(rule: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(rule)
