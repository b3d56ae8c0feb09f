"""Which capacity provider each new task goes to: bases first, then by weight.

Source: CapacityProviderStrategyItem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """One item of a strategy: `base` tasks at least, then `weight` parts of the others."""

    provider: str
    weight: int = 0
    base: int = 0


def distribute(shares: Sequence[Share], present: Mapping[str, int], count: int) -> list[str]:
    """Return the provider of each of `count` new tasks; `present` counts those that run.

    A strategy of one provider needs no weight. Raises ValueError where nothing has a weight.
    """
    weights = {share.provider: share.weight for share in shares}
    if len(shares) == 1:
        weights[shares[0].provider] = max(1, shares[0].weight)
    if not any(weights.values()):
        raise ValueError("no capacity provider has a weight above 0")
    counts = Counter(present)
    return [_next(shares, weights, counts) for _ in range(count)]


def _next(shares: Sequence[Share], weights: Mapping[str, int], counts: Counter[str]) -> str:
    below = [share for share in shares if counts[share.provider] < share.base]
    if below:
        chosen = below[0].provider
    else:
        chosen = min(
            (share for share in shares if weights[share.provider]),
            key=lambda s: (counts[s.provider] - s.base + 1) / weights[s.provider],
        ).provider
    counts[chosen] += 1
    return chosen
