"""The engine's clock: that of the machine, or one that goes faster, for rehearsals.

A fast clock begins at the machine's time and never goes back: where it stands is kept in the store,
so that an engine which comes back, also at another pace, goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kaiun.engine.store import Store


@dataclass(frozen=True, slots=True)
class Clock:
    """`scale` seconds pass here in one of the machine's; at `origin` of those it was `start`."""

    scale: float = 1.0
    origin: float = 0.0
    start: float = 0.0
    machine: Callable[[], float] = time.time

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self.start + (self.machine() - self.origin) * self.scale

    def real_s(self, seconds: float) -> float:
        """Return how long so many seconds of this clock are on the machine's."""
        return seconds / self.scale


def recall(store: Store, scale: float, machine: Callable[[], float] = time.time) -> Clock:
    """Return the clock that an engine with this store goes on with."""
    table = store.table("clock")
    kept = table.get("self")
    if kept is None and scale == 1:
        return Clock(machine=machine)
    now = machine()
    clock = Clock(**kept, machine=machine) if kept else Clock(1.0, now, now, machine)
    if clock.scale != scale:
        clock = Clock(scale, now, clock.now(), machine)
    table["self"] = {"scale": clock.scale, "origin": clock.origin, "start": clock.start}
    store.commit()
    return clock
