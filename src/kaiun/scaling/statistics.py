"""Samples of a metric, summed up as CloudWatch does, and what its statistics say of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PLAIN = frozenset(("SampleCount", "Sum", "Average", "Minimum", "Maximum"))
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,10})?|100)")
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """Samples of one span of time. `values`: how often each was seen, to three digits; empty where
    only the sums were told, and then there are no percentiles."""

    count: float
    total: float
    low: float
    high: float
    values: Mapping[float, float] = field(default_factory=dict)


def summary_of(values: Mapping[float, float]) -> Summary:
    """Return the summary of value → how often; there has to be one."""
    rounded: dict[float, float] = {}
    for value, count in values.items():
        key = _rounded(value)
        rounded[key] = rounded.get(key, 0.0) + count
    return Summary(
        count=sum(values.values()),
        total=sum(value * count for value, count in values.items()),
        low=min(values),
        high=max(values),
        values=rounded,
    )


def merged(summaries: Iterable[Summary]) -> Summary:
    """Return the summary of all samples; there has to be one."""
    parts = list(summaries)
    values: dict[float, float] = {}
    for part in parts:
        for value, count in part.values.items():
            values[value] = values.get(value, 0.0) + count
    told = all(part.values for part in parts)
    return Summary(
        count=sum(part.count for part in parts),
        total=sum(part.total for part in parts),
        low=min(part.low for part in parts),
        high=max(part.high for part in parts),
        values=values if told else {},
    )


def is_statistic(name: str) -> bool:
    return name in _PLAIN or _PERCENTILE.fullmatch(name) is not None


def statistic(name: str, summary: Summary) -> float | None:
    """Return a statistic by CloudWatch's name; None where the samples do not tell it.

    Raises ValueError for a name that `is_statistic` does not know.
    """
    plain = {
        "SampleCount": summary.count,
        "Sum": summary.total,
        "Average": summary.total / summary.count if summary.count else 0.0,
        "Minimum": summary.low,
        "Maximum": summary.high,
    }
    if name in plain:
        return plain[name]
    found = _PERCENTILE.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is not a statistic")
    return _percentile(float(found[1]), summary.values)


def _percentile(percent: float, values: Mapping[float, float]) -> float | None:
    """Return the smallest value that so many percent of the samples do not exceed."""
    wanted = sum(values.values()) * percent / 100
    below = 0.0
    for value in sorted(values):
        below += values[value]
        if below >= wanted:
            return value
    return None


def _rounded(value: float) -> float:
    if value == 0:
        return 0.0
    return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))
