"""Tasks find each other, and the host finds them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from support.containers import Harness, docker, until

from kaiun.engine import probe
from kaiun.engine.runtime import docker_pause
from kaiun.engine.runtime.base import (
    PAUSE,
    ContainerStatus,
    NetworkMode,
    PortMapping,
    RuntimeFailure,
)

pytestmark = pytest.mark.docker

Run = Callable[[Callable[[], Awaitable[None]]], None]
WEB = "echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"
FETCH = "until wget -qO- http://{}:8080/; do sleep 0.05; done"


async def answers(address: str, port: int) -> None:
    deadline = time.monotonic() + 15
    while not (await probe.check(address, port, probe.ProbeSettings())).ok:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def said(harness: Harness, message: str) -> None:
    await until(lambda: any(line.message == message for line in harness.lines))


def test_ephemeral_ports_are_published_on_loopback(harness: Harness, run: Run) -> None:
    async def body() -> None:
        spec = harness.shell(WEB, ports=(PortMapping(8080), PortMapping(8080)))
        first = await harness.up(harness.task(spec))
        second = await harness.up(harness.task(spec))
        found = [*first.ports, *second.ports]
        assert [(p.container_port, p.bind_ip) for p in found] == [(8080, "127.0.0.1")] * 4
        assert len({p.host_port for p in found}) == 4
        for port in found:
            await answers("127.0.0.1", port.host_port)

    run(body)


def test_fixed_port_that_is_taken_fails_the_start(harness: Harness, run: Run) -> None:
    async def body() -> None:
        first = await harness.up(harness.task(harness.shell(WEB, ports=(PortMapping(8080),))))
        taken = PortMapping(8080, first.ports[0].host_port)
        task = harness.task(harness.shell(WEB, ports=(taken,)))
        with pytest.raises(RuntimeFailure, match=r"CannotStartContainerError: .*already allocated"):
            await harness.up(task)

    run(body)


@pytest.mark.parametrize("mode", [NetworkMode.BRIDGE, NetworkMode.AWSVPC])
def test_alias_reaches_the_task_from_another(harness: Harness, run: Run, mode: NetworkMode) -> None:
    async def body() -> None:
        web = harness.task(harness.shell(WEB, "web"), aliases=("shop-web",), network_mode=mode)
        await harness.up(web)
        for other in (NetworkMode.BRIDGE, NetworkMode.AWSVPC):
            fetch = harness.shell(FETCH.format("shop-web"), f"fetch-{other}")
            await harness.up(harness.task(fetch, network_mode=other))
            assert (await harness.exited(f"fetch-{other}")).exit_code == 0
        assert [line.message for line in harness.lines] == ["hello", "hello"]

    run(body)


def test_awsvpc_containers_share_localhost_and_an_address(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(
            harness.shell(WEB, "web"),
            harness.shell(FETCH.format("localhost") + "; exec sleep 100", "fetch"),
            network_mode=NetworkMode.AWSVPC,
        )
        await harness.up(task)
        await said(harness, "hello")
        web, fetch = harness.last("web"), harness.last("fetch")
        assert web is not None
        assert fetch is not None
        assert web.address == fetch.address
        assert web.ports == ()
        assert web.address is not None
        await answers(web.address, 8080)

    run(body)


def test_pause_container_is_no_container_of_the_task(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell("exit 0"), network_mode=NetworkMode.AWSVPC)
        await harness.up(task)
        await harness.exited("app")
        assert {o.name for o in harness.seen} == {"app"}
        await harness.runtime.remove(task.task_id)
        assert docker("ps", "-aq", "--filter", f"label=kaiun.task={task.task_id}") == ""

    run(body)


def test_the_end_of_a_shared_namespace_is_told(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell("exec sleep 100"), network_mode=NetworkMode.AWSVPC)
        await harness.up(task)
        marks = (f"label=kaiun.task={task.task_id}", f"label=kaiun.container={PAUSE}")
        holder = docker("ps", "-q", *(f"--filter={mark}" for mark in marks))
        docker("kill", holder)
        assert (await harness.exited(PAUSE)).task_id == task.task_id
        await harness.runtime.close()
        docker("rm", "-f", holder)
        harness.seen.clear()
        await harness.open()
        told = harness.last(PAUSE)
        assert told is not None
        assert (told.task_id, told.status) == (task.task_id, ContainerStatus.GONE)

    run(body)


def test_awsvpc_address_is_known_to_the_next_engine(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell("exec sleep 100"), network_mode=NetworkMode.AWSVPC)
        first = await harness.up(task)
        await harness.runtime.close()
        harness.seen.clear()
        await harness.open()
        assert harness.seen == [first]

    run(body)


def test_link_is_an_alias_inside_the_task_only(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(
            harness.shell(WEB, "web"), harness.shell(FETCH.format("store"), links=("web:store",))
        )
        await harness.up(task)
        assert (await harness.exited("app")).exit_code == 0
        await harness.up(harness.task(harness.shell("wget -qO- http://store:8080/", "stranger")))
        assert (await harness.exited("stranger")).exit_code != 0

    run(body)


def test_none_has_loopback_only_and_host_has_the_hosts(harness: Harness, run: Run) -> None:
    async def body() -> None:
        count = harness.shell("ls /sys/class/net | wc -l", "none")
        await harness.up(harness.task(count, network_mode=NetworkMode.NONE))
        await harness.exited("none")
        assert [line.message for line in harness.lines] == ["1"]
        host = harness.shell("exec sleep 100", "host")
        up = await harness.up(harness.task(host, network_mode=NetworkMode.HOST))
        assert up.address == "127.0.0.1"

    run(body)


def test_pause_image_is_made_without_a_pull_and_made_once(harness: Harness, run: Run) -> None:
    async def body() -> None:
        repository, _, _ = docker_pause.reference("amd64")[0].partition(":")
        await harness.up(harness.task(harness.shell("exit"), network_mode=NetworkMode.AWSVPC))
        made = docker("images", "-q", repository)
        await harness.up(harness.task(harness.shell("exit"), network_mode=NetworkMode.AWSVPC))
        assert docker("images", "-q", repository) == made != ""

    run(body)
