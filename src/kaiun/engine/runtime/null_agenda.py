"""What will happen to imagined containers: each event once, in the order of the engine's clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from kaiun.engine.clock import Clock


@dataclass(slots=True, order=True)
class _Event:
    when: float
    number: int  # of events of one time, the one that was planned first
    act: Callable[[], None] = field(compare=False)
    done: bool = field(default=False, compare=False)

    def happen(self) -> None:
        if not self.done:
            self.done = True
            self.act()


class Agenda:
    """Events happen when their timers fire or, where somebody looks at the clock first, then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._planned: list[_Event] = []  # a heap
        self._timers: set[asyncio.TimerHandle] = set()
        self._numbers = itertools.count()

    def plan(self, when: float, act: Callable[[], None]) -> None:
        """Have `act` called at a time of the engine's clock; soon where that has passed."""
        event = _Event(when, next(self._numbers), act)
        heapq.heappush(self._planned, event)

        def fire() -> None:
            self._timers.discard(handle)
            event.happen()

        delay = max(0.0, when - self._clock.now())
        handle = asyncio.get_running_loop().call_later(self._clock.real_s(delay), fire)
        self._timers.add(handle)

    def hear(self) -> None:
        """Have happen what is due by now: on a fast clock a timer is late by minutes."""
        now = self._clock.now()
        while self._planned and (self._planned[0].done or self._planned[0].when <= now):
            heapq.heappop(self._planned).happen()

    def close(self) -> None:
        """Forget all that has not happened yet."""
        for timer in self._timers:
            timer.cancel()
        self._planned.clear()
