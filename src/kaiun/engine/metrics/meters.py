"""What tasks use of CPU and memory: measured of containers, or imagined."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from kaiun.engine.metrics.load import Loads
from kaiun.engine.runtime.base import RuntimeFailure, Usage
from kaiun.engine.runtime.behaviour import Behaviour, behaviour_of
from kaiun.engine.store import Doc
from kaiun.engine.world import World

UNITS: Final = 1024  # CPU units of one CPU
MIB: Final = 1024 * 1024
_AT_ONCE: Final = 8
_NEW_S: Final = 90.0  # a container that is older was running before this engine


@dataclass(frozen=True, slots=True)
class Used:
    """What a task has used: CPU units on average since the last look, MiB now. None: unknown."""

    cpu: float | None
    memory_mib: float | None


class Meter(Protocol):
    async def used(self, tasks: Sequence[Doc]) -> Mapping[str, Used]:
        """Return what running tasks use, by id; of some nothing may be known."""


def reserved(task: Doc) -> tuple[float, float]:
    """Return the CPU units and MiB that a task reserves; one that reserves no CPU counts as one."""
    cpu, memory_mib = task["_"]["needs"]
    return float(cpu or UNITS), float(memory_mib)


class ContainerMeter:
    """Reads the counters of containers; `read` knows them by their runtime id."""

    def __init__(self, read: Callable[[str], Awaitable[Usage | None]]) -> None:
        self._read = read
        self._before: dict[str, tuple[float, float]] = {}  # id → machine's time, CPU seconds
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def used(self, tasks: Sequence[Doc]) -> Mapping[str, Used]:
        containers = {
            own["runtime_id"]: own.get("started_at")
            for task in tasks
            for own in task["_"]["containers"].values()
            if own.get("status") == "RUNNING" and own.get("runtime_id")
        }
        seen = await asyncio.gather(*(self._look(*item) for item in containers.items()))
        by_id = dict(zip(containers, seen, strict=True))
        self._before = {key: kept for key, kept in self._before.items() if key in containers}
        return {task["_"]["id"]: _sum(task, by_id) for task in tasks}

    async def _look(self, runtime_id: str, started_at: float | None) -> Used | None:
        async with self._limit:
            usage = await self._read(runtime_id)
        if usage is None:
            return None
        now = time.time()
        before = self._before.get(runtime_id)
        if before is None and started_at is not None and now - started_at < _NEW_S:
            before = (started_at, 0.0)
        self._before[runtime_id] = (now, usage.cpu_s)
        cpu = None
        if before is not None and now > before[0]:
            cpu = max(0.0, usage.cpu_s - before[1]) / (now - before[0]) * UNITS
        return Used(cpu, usage.memory_bytes / MIB)


def _sum(task: Doc, by_id: Mapping[str, Used | None]) -> Used:
    """Return what a task's containers use; unknown where that of one of them is."""
    ids = [own["runtime_id"] for own in task["_"]["containers"].values() if "runtime_id" in own]
    parts = [part for key in ids if (part := by_id.get(key)) is not None]
    cpus = [part.cpu for part in parts if part.cpu is not None]
    memories = [part.memory_mib for part in parts if part.memory_mib is not None]
    return Used(
        sum(cpus) if cpus and len(cpus) == len(parts) else None,
        sum(memories) if memories else None,
    )


class ImaginedMeter:
    """What labels of containers say, or the load file of their service."""

    def __init__(self, world: World, loads: Loads, defaults: Mapping[str, str]) -> None:
        self._world = world
        self._loads = loads
        self._defaults = defaults

    async def used(self, tasks: Sequence[Doc]) -> Mapping[str, Used]:
        loads = self._loads.read()
        counts: dict[str, int] = {}
        for task in tasks:
            counts[owner_of(task)] = counts.get(owner_of(task), 0) + 1
        found = {}
        for task in tasks:
            cpu, memory = self._told(task)
            if load := loads.get(owner_of(task)):
                cpu = cpu if load.cpu is None else load.cpu / counts[owner_of(task)]
                memory = memory if load.memory is None else load.memory
            units, mib = reserved(task)
            found[task["_"]["id"]] = Used(
                None if cpu is None else units * cpu / 100,
                None if memory is None else mib * memory / 100,
            )
        return found

    def _told(self, task: Doc) -> tuple[float | None, float | None]:
        definition = self._world.task_definitions[task["taskDefinitionArn"]]
        own = [self._behaviour(c) for c in definition["containerDefinitions"]]
        cpus = [b.cpu for b in own if b.cpu is not None]
        memories = [b.memory for b in own if b.memory is not None]
        return sum(cpus) if cpus else None, sum(memories) if memories else None

    def _behaviour(self, container: Doc) -> Behaviour:
        try:
            return behaviour_of({**self._defaults, **container.get("dockerLabels", {})})
        except RuntimeFailure:
            return Behaviour()  # it did not start by these labels


def owner_of(task: Doc) -> str:
    """Return "CLUSTER/SERVICE" of a task, "CLUSTER/" of one that no service has."""
    kind, _, name = task["group"].partition(":")
    cluster = task["clusterArn"].rpartition("/")[2]
    return f"{cluster}/{name if kind == 'service' and task['_']['service'] else ''}"
