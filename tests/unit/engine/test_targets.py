"""Whose registration it is, when an address goes from a dead task to a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaiun.engine import identity
from kaiun.engine.logbook import Logbook
from kaiun.engine.store import Doc, Store
from kaiun.engine.targets import Targets
from kaiun.engine.views import targets_of
from kaiun.engine.world import World
from kaiun.scheduler.model import TargetState
from kaiun.scheduler.target import Check

GROUP = "arn:group"
ADDRESS = "172.18.0.2"


async def _healthy(_target: Doc, _group: Doc) -> Check:
    return Check(ok=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store(tmp_path / "state.db")
    world = World(store, identity.recall(store), Logbook(store))
    world.target_groups[GROUP] = {"TargetType": "ip"}
    yield world
    store.close()


def task_of(world: World, name: str, address: str = ADDRESS) -> Doc:
    balancer = {"targetGroupArn": GROUP, "containerName": "web", "containerPort": 80}
    own = {
        "id": name,
        "service": None,
        "load_balancers": [balancer],
        "targets": [],
        "deployment": "ecs-svc/1",
        "containers": {"web": {"address": address}},
    }
    world.tasks[name] = {"_": own, "attachments": [{}], "lastStatus": "RUNNING"}
    return world.tasks[name]


def test_a_dead_tasks_address_is_registered_anew_for_the_task_that_has_it_now(
    world: World,
) -> None:
    targets = Targets(world, _healthy)
    dead, new = task_of(world, "dead"), task_of(world, "new")
    targets.register_task(dead)
    targets.register_task(new)
    assert targets_of(world, dead) == ()
    targets.deregister_task(dead)
    targets.forget_task(dead)
    assert [target.state for target in targets_of(world, new)] == [TargetState.INITIAL]
    assert "dead" in world.dirty_tasks


def test_a_task_that_registers_twice_is_registered_once(world: World) -> None:
    targets = Targets(world, _healthy)
    task = task_of(world, "web")
    targets.register_task(task)
    targets.register_task(task)
    assert len(world.targets) == 1
    targets.deregister_task(task)
    assert [target.state for target in targets_of(world, task)] == [TargetState.DRAINING]


def test_a_target_is_healthy_once_the_balancer_sends_requests_to_it(world: World) -> None:
    passed = asyncio.Event()

    async def passes(_target: Doc, _group: Doc) -> Check:
        passed.set()
        return Check(ok=True)

    targets = Targets(world, passes)
    task = task_of(world, "web")
    targets.register_task(task)

    async def until_it_passes() -> None:
        targets.turn()
        await asyncio.wait_for(passed.wait(), 5)
        await targets.close()
        [registration] = world.targets.values()
        assert registration["health"]["state"] == "healthy"

    world.target_groups[GROUP] |= {
        "HealthCheckIntervalSeconds": 5, "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2, "_": {"attributes": {}},
    }  # fmt: skip

    def seen() -> list[TargetState]:
        return [target.state for target in targets_of(world, task)]

    asyncio.run(until_it_passes())
    assert seen() == [TargetState.INITIAL]
    targets.are_wired(targets.version - 1)
    assert seen() == [TargetState.INITIAL]
    targets = Targets(world, _healthy)  # of an engine that was killed in between
    assert seen() == [TargetState.INITIAL]
    world.dirty_tasks.clear()
    targets.are_wired(targets.version)
    assert seen() == [TargetState.HEALTHY]
    assert "web" in world.dirty_tasks
