"""The loop sleeps until there is something to do, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kaiun.engine import identity
from kaiun.engine.agent import Agent
from kaiun.engine.alarms import Alarms
from kaiun.engine.balancer.null import NullBalancer
from kaiun.engine.core import Core
from kaiun.engine.functions import Functions
from kaiun.engine.logbook import Logbook
from kaiun.engine.runtime.null import NullRuntime
from kaiun.engine.shifts import Shifts
from kaiun.engine.store import Doc, Store
from kaiun.engine.supplies import Supplies
from kaiun.engine.targets import Targets
from kaiun.engine.world import World
from kaiun.scheduler.target import Check


async def _healthy(_target: Doc, _group: Doc) -> Check:
    return Check(ok=True)


async def _nowhere() -> tuple[str, int]:
    raise AssertionError("nobody needs the side services")


async def _nothing(
    _definition: Doc, _overrides: Mapping[str, Doc], _registries: Sequence[str]
) -> Supplies:
    return Supplies()


@pytest.mark.parametrize("turns", range(6))
def test_loop_that_is_woken_as_it_is_cancelled_ends(tmp_path: Path, turns: int) -> None:
    store = Store(tmp_path / "state.db")
    who = identity.recall(store)
    world = World(store, who, Logbook(store))
    targets = Targets(world, _healthy)
    agent = Agent(world, NullRuntime(tmp_path), targets, _nothing)

    async def body() -> None:
        alarms = Alarms(world)
        shifts = Shifts(world, targets, Functions(tmp_path), alarms)
        core = asyncio.create_task(Core(world, agent, targets, NullBalancer(), shifts).run())
        for _ in range(10):
            await asyncio.sleep(0)
        world.alarm()
        for _ in range(turns):
            await asyncio.sleep(0)
        core.cancel()
        ended, _ = await asyncio.wait({core}, timeout=5)
        assert ended == {core}

    asyncio.run(body())
    store.close()
