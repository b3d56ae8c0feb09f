"""Choose a container instance for each task: constraints first, then strategies in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Instance:
    """A container instance, with what is left of it."""

    id: str
    cpu: int  # units; 1024 is one vCPU
    memory_mib: int
    zone: str = ""
    used_ports: frozenset[int] = frozenset()  # static host ports
    attributes: dict[str, str] = field(default_factory=dict)
    tasks: int = 0  # of the same service or group
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """What one task takes."""

    cpu: int = 0
    memory_mib: int = 0
    host_ports: frozenset[int] = frozenset()  # static ones only


@dataclass(frozen=True, slots=True)
class Strategy:
    """PlacementStrategy: spread | binpack | random, field as in ECS."""

    type: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """PlacementConstraint: distinctInstance | memberOf."""

    type: str
    expression: str = ""


DEFAULT_STRATEGIES = (
    Strategy("spread", "attribute:ecs.availability-zone"),
    Strategy("spread", "instanceId"),
)


def place(
    count: int,
    needs: Needs,
    instances: Sequence[Instance],
    *,
    strategies: Sequence[Strategy] = DEFAULT_STRATEGIES,
    constraints: Sequence[Constraint] = (),
    seed: str = "",
) -> list[str | None]:
    """Return an instance id per task, None for each that no instance has room for.

    `seed` decides what `random` picks. Raises ValueError for an expression that is not understood.
    """
    raise NotImplementedError
