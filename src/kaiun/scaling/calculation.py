"""What metric math calculates with: series, numbers, and its functions (pure)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Series = dict[float, float]  # moment → value
Value = float | Series | list[Series] | str


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name; `moments` are those that FILL fills, `period_s` apart."""

    metrics: Mapping[str, Series]
    moments: Sequence[float]
    period_s: float


def call(name: str, given: list[Value], scope: Scope) -> Value:
    """Return what a function makes of what it is given. Raises ValueError."""
    if name in _GATHER and len(given) == 1:
        return _gathered(_GATHER[name], given[0])
    if name in _EACH and len(given) == 1:
        return each(_EACH[name], given[0])
    if name == "METRICS" and len(given) < 2:
        return [s for key, s in scope.metrics.items() if all(str(part) in key for part in given)]
    if name == "FILL" and len(given) == 2:
        return _filled(given[0], given[1], scope)
    if name == "IF" and len(given) == 3:
        return _chosen(*given)
    if name in _OF_SERIES and len(given) == 1:
        return _OF_SERIES[name](as_series(given[0]), scope)
    raise ValueError(f"{name} is not known here, or takes something else")


def _filled(value: Value, number: Value, scope: Scope) -> Value:
    if not isinstance(number, float):
        raise ValueError("FILL takes a number here")  # noqa: TRY004
    base = dict.fromkeys(scope.moments, number)
    if isinstance(value, list):
        return [{**base, **one} for one in value]
    return {**base, **as_series(value)}


_OF_SERIES: dict[str, Callable[[Series, Scope], Value]] = {
    "PERIOD": lambda _, scope: scope.period_s,
    "DIFF": lambda series, _: _differences(series),
    "RATE": lambda series, scope: each(lambda n: n / scope.period_s, _differences(series)),
}
_GATHER: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum, "AVG": lambda values: math.fsum(values) / len(values), "MIN": min, "MAX": max,
}  # fmt: skip
_EACH: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


def as_series(value: Value) -> Series:
    if not isinstance(value, dict):
        raise ValueError("a list consists of time series")  # noqa: TRY004
    return value


def each(calculate: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, dict):
        return {at: float(calculate(number)) for at, number in value.items()}
    if isinstance(value, list):
        return [{at: float(calculate(n)) for at, n in one.items()} for one in value]
    if isinstance(value, str):
        raise ValueError("a text is no number")  # noqa: TRY004
    return float(calculate(value))


def joined(calculate: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Calculate with two values; where one of two series has no value, there is none."""

    def safe(a: float, b: float) -> float | None:
        try:
            found = float(calculate(a, b))
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
        return found if math.isfinite(found) else None

    match left, right:
        case dict(), dict():
            pairs = {at: safe(left[at], right[at]) for at in left if at in right}
        case dict(), float():
            pairs = {at: safe(number, right) for at, number in left.items()}
        case float(), dict():
            pairs = {at: safe(left, number) for at, number in right.items()}
        case list(), float() | dict():
            return [as_series(joined(calculate, one, right)) for one in left]
        case float(), float():
            if (found := safe(left, right)) is None:
                raise ValueError("the expression has no value")
            return found
        case _:
            raise ValueError("these cannot be calculated with each other")
    return {at: number for at, number in pairs.items() if number is not None}


def _chosen(test: Value, yes: Value, no: Value) -> Value:
    if isinstance(test, float):
        return yes if test else no
    parts = {at: yes if passed else no for at, passed in as_series(test).items()}
    chosen: Series = {}
    for at, part in parts.items():
        if isinstance(part, float):
            chosen[at] = part
        elif at in as_series(part):
            chosen[at] = as_series(part)[at]
    return chosen


def _gathered(gather: Callable[[Sequence[float]], float], value: Value) -> Value:
    """Make one number of a series, or one series of many."""
    if isinstance(value, dict):
        if not value:
            raise ValueError("there is no data")
        return float(gather(list(value.values())))
    if not isinstance(value, list):
        raise ValueError("expected time series")  # noqa: TRY004
    moments = sorted({at for one in value for at in one})
    return {at: float(gather([one[at] for one in value if at in one])) for at in moments}


def _differences(series: Series) -> Series:
    moments = sorted(series)
    return {at: series[at] - series[before] for before, at in itertools.pairwise(moments)}
