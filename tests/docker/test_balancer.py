"""Containers replaced behind the data plane, under load: no request fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.containers import Harness
from support.load import Load

from kaiun.engine import probe
from kaiun.engine.balancer.base import Backend, Forward, Listener, Server, ServerState, Wiring
from kaiun.engine.balancer.haproxy import HaproxyBalancer
from kaiun.engine.child import free_port
from kaiun.engine.runtime.base import NetworkMode, Observation, PortMapping, TaskSpec

pytestmark = pytest.mark.docker

Run = Callable[[Callable[[], Awaitable[None]]], None]
WEB = "echo {} > /www/index.html; exec httpd -f -p 8080 -h /www"
ROLLOUTS = 6


def reached_at(observation: Observation) -> tuple[str, int]:
    """A published port in bridge mode, the task's own address in awsvpc mode."""
    if observation.ports:
        return "127.0.0.1", observation.ports[0].host_port
    assert observation.address is not None
    return observation.address, 8080


@pytest.mark.parametrize("mode", [NetworkMode.BRIDGE, NetworkMode.AWSVPC])
def test_tasks_replaced_under_load_fail_no_request(
    harness: Harness, run: Run, mode: NetworkMode
) -> None:
    balancer = HaproxyBalancer(harness.home)
    port = free_port()

    async def wire(*servers: Server) -> None:
        listener = Listener("main", port, Forward((("group", 1),)))
        await balancer.apply(Wiring((listener,), (Backend("group", servers),)))

    async def serving(turn: int) -> tuple[TaskSpec, Server]:
        """Start a task, and wait until its target is healthy."""
        spec = harness.shell(WEB.format(f"v{turn}"), "web", ports=(PortMapping(8080),))
        task = harness.task(spec, network_mode=mode)
        address = reached_at(await harness.up(task))
        while not (await probe.check(*address, probe.ProbeSettings())).ok:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return task, Server(*address, ServerState.READY)

    async def replace(old: tuple[TaskSpec, Server], turn: int) -> tuple[TaskSpec, Server]:
        task, server = old
        new = await serving(turn)
        await wire(server, new[1])
        await wire(Server(server.address, server.port, ServerState.DRAIN), new[1])
        await asyncio.sleep(0.1)  # the deregistration delay
        await harness.runtime.stop(task.task_id, "web", 0)
        await wire(new[1])
        await harness.runtime.remove(task.task_id)
        return new

    async def body() -> None:
        await balancer.open()
        try:
            live = await serving(0)
            await wire(live[1])
            load = Load(port, rate=100, look_for=("v0", f"v{ROLLOUTS}"))
            with load:
                for turn in range(1, ROLLOUTS + 1):
                    live = await replace(live, turn)
                await asyncio.sleep(0.3)
        finally:
            await balancer.close(stop=True)
        assert load.report.failures == []
        assert load.report.ok > 100
        assert load.report.bodies_with.keys() == {"v0", f"v{ROLLOUTS}"}

    run(body)
