"""Target tracking: capacity follows a metric so that it stays near its target (pure).

Source: Application Auto Scaling user guide, "How target tracking scaling for Application Auto
Scaling works". AWS says that it scales out proportionally and scales in "gradually"; here the same
proportion holds for both, rounded up, so that the metric is not expected to exceed the target.
"""

from __future__ import annotations

import math
from typing import Final

from kaiun.scaling.alarm import Comparison, Rule

HIGH_PERIODS: Final = 3
LOW_PERIODS: Final = 15
LOW_SHARE: Final = 0.9  # of the target, below which a service is too large
_NOISE: Final = 1e-9


def high_rule(target: float) -> Rule:
    """Return when a service is too small."""
    return Rule(Comparison.ABOVE, target, HIGH_PERIODS, HIGH_PERIODS)


def low_rule(target: float) -> Rule:
    """Return when a service is too large."""
    share = float(f"{target * LOW_SHARE:.12g}")  # 67.5, not 67.50000000000001
    return Rule(Comparison.BELOW, share, LOW_PERIODS, LOW_PERIODS)


def wants(capacity: int, value: float, target: float) -> int:
    """Return the capacity at which a metric of `value` would be at its target, at least 1 where
    there is one now."""
    if capacity == 0:
        return 1 if value > target else 0
    return max(1, math.ceil(capacity * value / target - _NOISE))
