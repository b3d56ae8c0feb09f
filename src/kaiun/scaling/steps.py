"""Step scaling: how far a metric is beyond its threshold says by how much to scale (pure).

Source: Application Auto Scaling user guide, "How step scaling for Application Auto Scaling works".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Adjustment(StrEnum):
    CHANGE = "ChangeInCapacity"
    PERCENT = "PercentChangeInCapacity"
    EXACT = "ExactCapacity"


@dataclass(frozen=True, slots=True)
class Step:
    """An adjustment for a breach between two bounds, which count from the threshold."""

    amount: int
    low: float = -math.inf
    high: float = math.inf

    def covers(self, breach: float) -> bool:
        """Tell whether a breach lies within: the bound nearer to the threshold belongs to it."""
        above = breach >= 0 and self.low <= breach < self.high
        return above or (breach <= 0 and self.low < breach <= self.high)


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """`least`: tasks by which a change in percent changes at least."""

    kind: Adjustment
    steps: tuple[Step, ...]
    least: int = 0

    def wants(self, capacity: int, breach: float) -> int:
        """Return the capacity for a breach; the same one where no step covers it."""
        step = next((step for step in self.steps if step.covers(breach)), None)
        if step is None:
            return capacity
        if self.kind is Adjustment.EXACT:
            return step.amount
        if self.kind is Adjustment.CHANGE:
            return capacity + step.amount
        return capacity + self._percent(capacity, step.amount)

    def _percent(self, capacity: int, percent: int) -> int:
        """Return the change: rounded towards nought, but never to it."""
        exact = capacity * percent / 100
        change = math.trunc(exact) if abs(exact) >= 1 else _sign(exact)
        return change if abs(change) >= self.least else self.least * _sign(percent)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def problem_of(steps: Sequence[Step]) -> str:
    """Return what is wrong with the bounds of steps, "" if nothing."""
    if any(step.low >= step.high for step in steps):
        return "the lower bound of a step must be below its upper bound"
    ordered = sorted(steps, key=lambda step: (step.low, step.high))
    for before, after in itertools.pairwise(ordered):
        if after.low < before.high:
            return "steps must not overlap"
        if after.low > before.high:
            return "there must not be a gap between steps"
    return ""
