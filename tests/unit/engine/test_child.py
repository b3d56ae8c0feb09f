"""Children are started once, adopted by the next engine, and stopped when asked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.web import Site, get

from kaiun.engine.child import REVIVAL_S, Child, beginning, environment, free_port
from kaiun.engine.registry import Registry
from kaiun.engine.side import SideServices
from kaiun.errors import EngineError

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(tmp_path, "sleeper")
    yield made
    asyncio.run(made.stop())


def test_child_is_found_by_the_next_engine(child: Child) -> None:
    process = child.spawn(SLEEP, environment(), port=7)
    again = Child(child.home, "sleeper")
    assert again.adopt() == process
    asyncio.run(again.stop())
    assert child.adopt() is None
    assert not child.pid_file.exists()


def test_other_process_of_the_same_id_is_not_adopted(child: Child) -> None:
    process = child.spawn(SLEEP, environment())
    impostor = {"pid": os.getpid(), "began": process.began + "0", "port": 0}
    child.pid_file.write_text(json.dumps(impostor))
    assert Child(child.home, "sleeper").adopt() is None
    asyncio.run(Child(child.home, "sleeper").stop())
    assert beginning(os.getpid()) is not None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x", "began": "1", "port": 0}'])
def test_broken_pid_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "sleeper.pid").write_text(text)
    assert Child(tmp_path, "sleeper").adopt() is None


def test_stop_kills_what_does_not_listen(child: Child) -> None:
    script = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
    process = child.spawn([sys.executable, "-c", script + "time.sleep(1000)"], environment())

    async def body() -> None:
        async def up() -> bool:
            return child.last_lines() == ["up"]

        await child.ready(up, timeout_s=20)
        await child.stop(timeout_s=0.1)

    asyncio.run(body())
    assert not process.alive


def test_child_that_ends_as_it_starts_is_an_error_with_its_last_words(child: Child) -> None:
    async def never() -> bool:
        return False

    child.spawn([sys.executable, "-c", "raise SystemExit('no such luck')"], environment())
    with pytest.raises(EngineError, match="sleeper ended as it started") as raised:
        asyncio.run(child.ready(never, timeout_s=20))
    assert raised.value.detail == ("no such luck",)


def test_child_gets_none_of_the_users_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "AWS_SECRET_ACCESS_KEY" not in environment()
    assert environment(A="1")["A"] == "1"


@pytest.fixture
def side(tmp_path: Path) -> Iterator[SideServices]:
    made = SideServices(tmp_path)
    yield made
    asyncio.run(made.close(stop=True))


def test_moto_is_started_once_by_many_and_adopted(side: SideServices, tmp_path: Path) -> None:
    async def body() -> None:
        assert not side.running
        first, second = await asyncio.gather(side.start(), side.start())
        assert first == second
        await side.close(stop=False)
        adopted = SideServices(tmp_path)
        assert await adopted.start() == first
        scope = "AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/sts/aws4_request"
        signed = {"Authorization": f"{scope}, SignedHeaders=host, Signature=0"}
        path = "/?Action=GetCallerIdentity&Version=2011-06-15"
        reply = await get(first[1], path, headers=signed)
        assert "<Account>000000000000</Account>" in reply.body
        await adopted.close(stop=True)
        assert not side.running

    asyncio.run(body())


needs_registry = pytest.mark.skipif(
    not (shutil.which("docker-registry") or shutil.which("registry")),
    reason="no registry program is installed",
)


@needs_registry
def test_registry_is_adopted_and_started_again_when_killed(tmp_path: Path) -> None:
    async def body() -> None:
        first = Registry(tmp_path, 0)
        port = await first.start()
        pid = json.loads((tmp_path / "registry.pid").read_text())["pid"]
        await first.close(stop=False)
        second = Registry(tmp_path, port)
        assert await second.start() == port  # adopts
        await second.close(stop=False)
        assert json.loads((tmp_path / "registry.pid").read_text())["pid"] == pid
        os.kill(pid, signal.SIGKILL)
        third = Registry(tmp_path, port)
        while beginning(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await third.start() == port
        assert (await get(port, "/v2/_catalog")).status == 200
        await third.close(stop=True)
        await first.close(stop=True)

    asyncio.run(body())


@needs_registry
def test_registry_moves_to_another_port_when_asked(tmp_path: Path) -> None:
    async def body() -> None:
        first = Registry(tmp_path, 0)
        await first.start()
        moved = Registry(tmp_path, free_port())
        assert await moved.start() == moved.port
        assert (await get(moved.port, "/v2/")).status == 200
        await moved.close(stop=True)
        await first.close(stop=True)

    asyncio.run(body())


@needs_registry
def test_registry_names_the_port_that_is_taken(tmp_path: Path) -> None:
    async def body() -> None:
        site = Site("other")
        await site.start()
        with pytest.raises(EngineError, match=f"port {site.port} is taken"):
            await Registry(tmp_path, site.port).start()
        await site.close()

    asyncio.run(body())


def test_child_that_ended_is_not_brought_back_once_let_go(child: Child) -> None:
    told: list[str] = []

    async def body() -> None:
        process = child.spawn(SLEEP, environment())
        child.watch(lambda: told.append("lost"))
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while child.process is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        child.release()
        await asyncio.sleep(REVIVAL_S * 1.2)

    asyncio.run(body())
    assert told == []


def test_end_of_a_child_is_told_once(child: Child) -> None:
    async def body() -> None:
        told = asyncio.Event()
        process = child.spawn(SLEEP, environment())
        child.watch(told.set)
        child.watch(told.set)
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await told.wait()
        assert child.adopt() is None

    asyncio.run(body())


def test_missing_registry_program_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no registry program") as raised:
        asyncio.run(Registry(tmp_path, 0).start())
    assert "docker-registry" in raised.value.hint
