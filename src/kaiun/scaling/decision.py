"""What a policy may do now: bounds of the scalable target, cooldowns, what holds it back (pure).

Source: Application Auto Scaling user guide, "Define cooldown periods": while a scale-out cools
down, only a larger scale-out goes further, and what was added counts as part of it; while a
scale-in cools down, there is no other, but a scale-out happens at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Held(StrEnum):
    """Why nothing was scaled, in Application Auto Scaling's codes; it has none for a cooldown."""

    MAX = "AlreadyAtMaxCapacity"
    MIN = "AlreadyAtMinCapacity"
    DESIRED = "AlreadyAtDesiredCapacity"
    UNSCALABLE = "TargetServicePutResourceAsUnscalable"
    COOLING = "Cooldown"


@dataclass(frozen=True, slots=True)
class Bounds:
    low: int
    high: int

    def clamp(self, capacity: int) -> int:
        return max(self.low, min(self.high, capacity))


@dataclass(frozen=True, slots=True)
class Memory:
    """When a policy last scaled out, and from where; when it last scaled in."""

    out_at: float | None = None
    out_from: int = 0
    in_at: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a policy may go on: what it did, and how long that has to take effect."""

    memory: Memory
    now: float
    out_s: float = 300.0
    in_s: float = 300.0

    @property
    def grows(self) -> bool:
        """Tell whether a scale-out has yet to take effect."""
        return self.memory.out_at is not None and self.now < self.memory.out_at + self.out_s

    @property
    def shrinks(self) -> bool:
        return self.memory.in_at is not None and self.now < self.memory.in_at + self.in_s


@dataclass(frozen=True, slots=True)
class Decision:
    """The capacity to be had; where that is the one that there is, why."""

    capacity: int
    held: Held | None = None


def decide(
    wants: Callable[[int], int],
    capacity: int,
    bounds: Bounds,
    pace: Pace,
    *,
    may_shrink: bool = True,
) -> Decision:
    """Return what comes of a policy that `wants` a capacity where it finds another one."""
    wanted = wants(capacity)
    if wanted > capacity and pace.grows:
        wanted = max(capacity, wants(min(pace.memory.out_from, capacity)))
        if wanted == capacity:
            return Decision(capacity, Held.COOLING)
    allowed = bounds.clamp(wanted)
    held = _held(wanted, capacity, allowed)
    if allowed < capacity and not may_shrink:
        held = Held.UNSCALABLE
    elif allowed < capacity and pace.shrinks:
        held = Held.COOLING
    return Decision(allowed) if held is None else Decision(capacity, held)


def _held(wanted: int, capacity: int, allowed: int) -> Held | None:
    if allowed != capacity:
        return None
    if wanted == capacity:
        return Held.DESIRED
    return Held.MAX if wanted > capacity else Held.MIN


def remembered(memory: Memory, capacity: int, decision: Decision, now: float) -> Memory:
    """Return what a policy knows of itself after a decision that has been carried out."""
    if decision.capacity > capacity:
        return Memory(now, capacity, memory.in_at)
    return Memory(memory.out_at, memory.out_from, now)
