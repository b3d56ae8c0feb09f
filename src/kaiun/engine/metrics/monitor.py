"""At the end of each minute of the engine's clock: measure, keep, and have alarms look at it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from kaiun.engine.metrics.book import MINUTE_S, Point
from kaiun.engine.metrics.gauges import Gauge
from kaiun.engine.world import World

log = logging.getLogger(__name__)

_REST: Final = 4.0  # times as long as a look took, before the next one: a fast clock skips minutes


class Monitor:
    """`then` are called with the moment at which a minute has ended and all its points are kept."""

    def __init__(
        self, world: World, gauges: Sequence[Gauge], then: Sequence[Callable[[float], None]]
    ) -> None:
        self._world = world
        self._gauges = gauges
        self._then = then

    async def run(self) -> None:
        """Measure every minute until cancelled."""
        clock = self._world.clock
        seen = self._minute()
        while True:
            await asyncio.sleep(max(0.0, clock.real_s(seen + MINUTE_S - clock.now())))
            if self._minute() == seen:
                continue  # it woke a bit early
            seen = self._minute()
            began = time.monotonic()
            await self.look(seen)
            spent_s = time.monotonic() - began
            await asyncio.sleep(spent_s * _REST if clock.scale > 1 else 0)

    def _minute(self) -> float:
        return math.floor(self._world.now() / MINUTE_S) * float(MINUTE_S)

    async def look(self, ended: float) -> None:
        """Measure the minute that ended then."""
        points: list[Point] = []
        for gauge in self._gauges:
            try:
                points += await gauge.points(ended - MINUTE_S)
            except Exception:
                log.exception("a minute cannot be measured")
        try:
            self._world.metricbook.write(points)
            for follow in self._then:
                follow(ended)
        except Exception:
            log.exception("a minute cannot be judged")
        finally:
            self._world.store.commit()
