"""Choose a container instance for each task: what fits, constraints, then strategies in order.

Sources: PlacementStrategy, PlacementConstraint; developer guide, "cluster query language".
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kaiun.scheduler.query import matches

TASK_GROUP = "task:group"
_ZONE = "attribute:ecs.availability-zone"


@dataclass(frozen=True, slots=True)
class Instance:
    """A container instance, with what is left of it."""

    id: str
    cpu: int  # units; 1024 is one vCPU
    memory_mib: int
    zone: str = ""
    used_ports: frozenset[int] = frozenset()  # static host ports
    attributes: Mapping[str, str] = field(default_factory=dict)
    tasks: int = 0  # of the same service or group
    groups: frozenset[str] = frozenset()  # of all its tasks
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """What one task takes."""

    cpu: int = 0
    memory_mib: int = 0
    host_ports: frozenset[int] = frozenset()  # static ones only
    group: str = ""


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


DEFAULT_STRATEGIES = (Strategy("spread", _ZONE), Strategy("spread", "instanceId"))

_Score = Callable[[Instance], float]


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

    `seed` decides what `random` picks; ties go to the lowest instance id. Raises ValueError
    for an expression, a strategy or a field that is not understood.
    """
    left = {instance.id: instance for instance in sorted(instances, key=lambda i: i.id)}
    placed: list[str | None] = []
    for number in range(count):
        fitting = [i for i in left.values() if _fits(i, needs) and fits_constraints(i, constraints)]
        if not fitting:
            return placed + [None] * (count - number)
        everywhere = list(left.values())
        for strategy in strategies:
            score = _score(strategy, everywhere, f"{seed}/{number}")
            best = min(map(score, fitting))
            fitting = [i for i in fitting if score(i) == best]
        chosen = fitting[0]
        placed.append(chosen.id)
        left[chosen.id] = _taken(chosen, needs)
    return placed


def _fits(instance: Instance, needs: Needs) -> bool:
    return (
        not instance.draining
        and instance.cpu >= needs.cpu
        and instance.memory_mib >= needs.memory_mib
        and not instance.used_ports & needs.host_ports
    )


def fits_constraints(instance: Instance, constraints: Sequence[Constraint]) -> bool:
    """Return whether an instance meets all constraints. Raises ValueError for an unknown one."""
    for constraint in constraints:
        if constraint.type == "distinctInstance":
            if instance.tasks:
                return False
        elif constraint.type == "memberOf":
            if not matches(constraint.expression, lambda name: _values(instance, name)):
                return False
        else:
            raise ValueError(f"unknown placement constraint {constraint.type!r}")
    return True


def _score(strategy: Strategy, instances: Sequence[Instance], seed: str) -> _Score:
    """Return what a strategy minimises."""
    match strategy.type.lower(), strategy.field.lower():
        case "spread", _:
            counts: Counter[str] = Counter()
            for instance in instances:
                counts[_value(instance, strategy.field) or ""] += instance.tasks
            return lambda i: counts[_value(i, strategy.field) or ""]
        case "binpack", "cpu":
            return lambda i: i.cpu
        case "binpack", "memory":
            return lambda i: i.memory_mib
        case "random", _:
            return lambda i: random.Random(f"{seed}/{i.id}").random()  # noqa: S311
        case _:
            raise ValueError(f"unknown placement strategy {strategy.type!r} {strategy.field!r}")


def _value(instance: Instance, name: str) -> str | None:
    if name in ("instanceId", "host", "ec2InstanceId", "containerInstanceArn"):
        return instance.id
    if name == _ZONE:
        return instance.zone
    return instance.attributes.get(name.removeprefix("attribute:"))


def _values(instance: Instance, name: str) -> str | frozenset[str] | None:
    return instance.groups if name == TASK_GROUP else _value(instance, name)


def _taken(instance: Instance, needs: Needs) -> Instance:
    return replace(
        instance,
        cpu=instance.cpu - needs.cpu,
        memory_mib=instance.memory_mib - needs.memory_mib,
        used_ports=instance.used_ports | needs.host_ports,
        tasks=instance.tasks + 1,
        groups=instance.groups | {needs.group},
    )
