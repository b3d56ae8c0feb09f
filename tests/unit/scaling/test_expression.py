"""Metric math."""

from __future__ import annotations

import pytest

from kaiun.scaling.calculation import Scope
from kaiun.scaling.expression import evaluate

SCOPE = Scope(
    {"m1": {0: 10.0, 60: 20.0, 120: 30.0}, "m2": {0: 1.0, 60: 0.0}, "e1": {120: 5.0}},
    moments=(0, 60, 120),
    period_s=60.0,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1", {0: 10, 60: 20, 120: 30}),
        ("m1 * 2 + 1", {0: 21, 60: 41, 120: 61}),
        ("m1 + m2", {0: 11, 60: 20}),
        ("m1 / m2", {0: 10}),
        ("100 - -m1", {0: 110, 60: 120, 120: 130}),
        ("2 ^ 3 ^ 0", {0: 2, 60: 2, 120: 2}),
        ("m1 / (m2 + 1) * 2", {0: 10, 60: 40}),
        ("FILL(m2, 7)", {0: 1, 60: 0, 120: 7}),
        ("SUM(METRICS())", {0: 11, 60: 20, 120: 35}),
        ('MAX(METRICS("m"))', {0: 10, 60: 20, 120: 30}),
        ("AVG([m1, m2])", {0: 5.5, 60: 10, 120: 30}),
        ("m1 - AVG(m1)", {0: -10, 60: 0, 120: 10}),
        ("IF(m1 > 15, m1, 0)", {0: 0, 60: 20, 120: 30}),
        ("IF(m1 >= 10 AND m1 < 25, 1, m2)", {0: 1, 60: 1}),
        ("RATE(m1)", {60: 10 / 60, 120: 10 / 60}),
        ("m1 / PERIOD(m1)", {0: 10 / 60, 60: 20 / 60, 120: 0.5}),
        ("CEIL(m1 / 3)", {0: 4, 60: 7, 120: 10}),
    ],
)
def test_expression_is_calculated(text: str, expected: dict[float, float]) -> None:
    assert evaluate(text, SCOPE) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "m9", "m1 +", "(m1", "m1)", "m1 m2", "SUM()", "NOSUCH(m1)", "METRICS()", "1 / 0", "'a'",
        "m1 + 'a'", "FILL(m1, m2)", "[1]", "IF(m1)", "§", "AVG(5)", "(" * 2000, "9^999",
    ],
)  # fmt: skip
def test_what_cannot_be_calculated_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        evaluate(text, SCOPE)
