"""The Docker Engine goes away and comes back, behind a socket that a test can close."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.containers import Harness, docker, until

from kaiun.engine.runtime.base import (
    ContainerStatus,
    LogLine,
    Observation,
    RuntimeFailure,
)
from kaiun.engine.runtime.docker import DockerRuntime
from kaiun.errors import EngineError

pytestmark = pytest.mark.docker

TICK = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"


@dataclass
class Door:
    """A unix socket in front of the Docker Engine's own."""

    path: Path
    _server: asyncio.Server | None = None
    _pipes: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._enter, self.path)

    async def shut(self) -> None:
        """Cut every connection, and take no more."""
        if self._server is not None:
            self._server.close()
            for pipe in tuple(self._pipes):
                pipe.cancel()
            await asyncio.gather(*self._pipes, return_exceptions=True)
            self.path.unlink(missing_ok=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection("/var/run/docker.sock")
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            pipe = asyncio.create_task(self._pipe(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    @staticmethod
    async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()


def test_what_happened_meanwhile_is_seen_and_no_line_is_lost(harness: Harness) -> None:
    seen: list[Observation] = []
    lines: list[LogLine] = []

    def status(task_id: str) -> ContainerStatus | None:
        return next((o.status for o in reversed(seen) if o.task_id == task_id), None)

    async def body() -> None:
        door = Door(harness.home / "docker.sock")
        await door.open()
        runtime = DockerRuntime(harness.engine_id, harness.home, docker_host=f"unix://{door.path}")
        harness.runtime = runtime
        await runtime.open(seen.append, lines.append)
        try:
            stays = harness.task(harness.shell(TICK, "stays"))
            ends, goes = (harness.task(harness.shell("exec sleep 1000")) for _ in range(2))
            ids = [(await harness.up(task)).runtime_id for task in (stays, ends, goes)]
            await until(lambda: lines)
            await door.shut()
            docker("kill", ids[1])
            docker("rm", "-f", ids[2])
            with pytest.raises(RuntimeFailure, match="cannot reach the Docker Engine"):
                await harness.up(harness.task(harness.shell("exit 0")))
            await door.open()
            await until(lambda: status(ends.task_id) is ContainerStatus.EXITED)
            await until(lambda: status(goes.task_id) is ContainerStatus.GONE)
            assert status(stays.task_id) is ContainerStatus.RUNNING
            before = len(lines)
            await until(lambda: len(lines) > before + 10)
            written = [line.message for line in lines]
            assert written == [f"line {i}" for i in range(1, len(written) + 1)]
        finally:
            await runtime.close()
            await door.shut()

    asyncio.run(body())


def test_nobody_at_the_socket_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async def body() -> None:
        runtime = DockerRuntime("e" * 32, tmp_path, docker_host=f"unix://{tmp_path}/none.sock")
        with pytest.raises(EngineError, match="cannot reach the Docker Engine") as raised:
            await runtime.open(lambda seen: None, lambda line: None)
        assert "dockerd" in raised.value.hint

    asyncio.run(body())
