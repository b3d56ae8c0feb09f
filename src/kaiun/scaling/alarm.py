"""When an alarm is in ALARM: data points against a threshold (pure).

Source: CloudWatch user guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat
missing data", with its two tables.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AlarmState(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """How data points that are missing count."""

    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"
    IGNORE = "ignore"
    MISSING = "missing"


class Comparison(StrEnum):
    AT_LEAST = "GreaterThanOrEqualToThreshold"
    ABOVE = "GreaterThanThreshold"
    BELOW = "LessThanThreshold"
    AT_MOST = "LessThanOrEqualToThreshold"


_BREACHES: Final[dict[Comparison, Callable[[float, float], bool]]] = {
    Comparison.AT_LEAST: operator.ge,
    Comparison.ABOVE: operator.gt,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}
_WORDS: Final = {
    Comparison.AT_LEAST: "greater than or equal to",
    Comparison.ABOVE: "greater than",
    Comparison.BELOW: "less than",
    Comparison.AT_MOST: "less than or equal to",
}
EXTRA: Final = 2  # data points that are looked at beyond the evaluation periods


@dataclass(frozen=True, slots=True)
class Rule:
    """M out of N: `to_alarm` of the latest `periods` data points have to breach the threshold."""

    comparison: Comparison
    threshold: float
    periods: int
    to_alarm: int
    missing: Missing = Missing.MISSING

    @property
    def looks_at(self) -> int:
        """Return how many periods back data points are looked for."""
        return self.periods + EXTRA

    def breaches(self, value: float) -> bool:
        return _BREACHES[self.comparison](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`decisive`: positions of the data points that it rests on, oldest first."""

    state: AlarmState
    decisive: tuple[int, ...] = ()
    unknown: int = 0  # data points that are missing


def evaluate(rule: Rule, points: Sequence[float | None], state: AlarmState) -> Verdict:
    """Return what `points`, one for each period, oldest first, make of an alarm in `state`."""
    real = [(place, value) for place, value in enumerate(points) if value is not None]
    latest = real[-rule.periods :]
    bad = [place for place, value in latest if rule.breaches(value)]
    good = [place for place, value in latest if not rule.breaches(value)]
    lacking = rule.periods - len(latest)
    if len(bad) >= rule.to_alarm:
        return Verdict(AlarmState.ALARM, tuple(bad), lacking)
    if lacking == 0:
        return Verdict(AlarmState.OK, tuple(good))
    if rule.missing is Missing.BREACHING and len(bad) + lacking >= rule.to_alarm:
        return Verdict(AlarmState.ALARM, tuple(bad), lacking)
    if good or rule.missing in (Missing.BREACHING, Missing.NOT_BREACHING):
        return Verdict(AlarmState.OK, tuple(good), lacking)
    return Verdict(_undecided(rule, bad, len(points), state), tuple(bad), lacking)


def _undecided(rule: Rule, bad: Sequence[int], count: int, state: AlarmState) -> AlarmState:
    """Return the state where too few data points are known, and all of them breach."""
    if rule.missing is Missing.IGNORE:
        return state
    if not bad:
        return AlarmState.INSUFFICIENT_DATA
    # one that is as old as it has to be is enough, when nothing speaks against it
    return AlarmState.ALARM if count - bad[0] >= rule.to_alarm else state


def reason(rule: Rule, verdict: Verdict, shown: Sequence[str], before: AlarmState) -> str:
    """Return the StateReason, in CloudWatch's words; `shown` are the decisive data points."""
    if verdict.state is AlarmState.INSUFFICIENT_DATA or (verdict.unknown and not shown):
        plural = " was" if verdict.unknown == 1 else "s were"
        if verdict.state is AlarmState.INSUFFICIENT_DATA:
            return f"Insufficient Data: {verdict.unknown} datapoint{plural} unknown."
        return (
            f"Threshold Crossed: no datapoints were received for {verdict.unknown} period"
            f"{'s' * (verdict.unknown != 1)} and {verdict.unknown} missing datapoint{plural} "
            f"treated as [{_treated(rule)}]."
        )
    negation = "" if verdict.state is AlarmState.ALARM else "not "
    verb = "was" if len(shown) == 1 else "were"
    least = rule.to_alarm if verdict.state is AlarmState.ALARM else rule.periods - rule.to_alarm + 1
    plural = "s" * (least != 1)
    return (
        f"Threshold Crossed: {len(shown)} out of the last {rule.periods} datapoints "
        f"[{', '.join(reversed(shown))}] {verb} {negation}{_WORDS[rule.comparison]} the threshold "
        f"({rule.threshold}) (minimum {least} datapoint{plural} for {before} -> {verdict.state} "
        "transition)."
    )


def _treated(rule: Rule) -> str:
    return "Breaching" if rule.missing is Missing.BREACHING else "NonBreaching"
