"""The moments of one schedule, in seconds since the epoch.

Source: EventBridge Scheduler user guide, "Schedule types": local times that a change to daylight
saving skips have no moment, those that it repeats have one, the first; days of a rate are 24 hours.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from kaiun.engine.schedules.expression import At, Expression, Rate

GRACE_S = 60.0  # AWS promises the minute, so a one-time schedule of this minute is not past


@dataclass(frozen=True, slots=True)
class Timing:
    """A rate counts from `base`. A one-time schedule knows neither start nor end, as on AWS."""

    expression: Expression
    zone: tzinfo = UTC
    base: float = 0.0
    start: float = -math.inf
    end: float = math.inf

    def following(self, after: float) -> float | None:
        """Return the first moment after a moment; None when there is none any more."""
        if isinstance(self.expression, At):
            at = next(self._existing(iter([self.expression.moment])), None)
            return at if at is not None and at > after else None
        since = max(after, math.nextafter(self.start, -math.inf))
        if isinstance(self.expression, Rate):
            passed = math.floor((since - self.base) / self.expression.period_s)
            moment = self.base + max(0, passed + 1) * self.expression.period_s
        else:
            local = datetime.fromtimestamp(math.floor(since), self.zone).replace(tzinfo=None)
            moments = self._existing(self.expression.moments(local))
            moment = next((at for at in moments if at > since), math.inf)
        return moment if moment <= self.end and moment < math.inf else None

    def first(self, now: float) -> float | None:
        """Return the first moment of a schedule that is made now."""
        if isinstance(self.expression, At):
            return self.following(now - GRACE_S)
        return self.following(math.nextafter(now, -math.inf))

    def _existing(self, moments: Iterator[datetime]) -> Iterator[float]:
        """Yield the moments of local times, without those that the zone skips."""
        for local in moments:
            at = local.replace(tzinfo=self.zone).timestamp()
            if datetime.fromtimestamp(at, self.zone).replace(tzinfo=None) == local:
                yield at

    def come_due(
        self, planned: float, now: float, *, late: float, lost: float
    ) -> tuple[list[float], float | None]:
        """Return the moments from `planned` to `now` that are still to be had, and the next.

        What should have been before `lost` is gone. Of what should have been before `late` the
        last alone counts, and only where nothing came due later.
        """
        moments: list[float] = []
        moment: float | None = planned
        if planned < lost:
            moment = self.following(math.nextafter(lost, -math.inf))
        while moment is not None and moment <= now:
            moments.append(moment)
            moment = self.following(moment)
        return [at for at in moments if at >= late] or moments[-1:], moment


def delay_s(name: str, moment: float, window_s: float) -> float:
    """Return how far into its flexible window a moment is had: by chance, yet always alike."""
    digest = hashlib.sha256(f"{name} {moment}".encode()).digest()
    return window_s * int.from_bytes(digest[:8], "big") / 2**64
