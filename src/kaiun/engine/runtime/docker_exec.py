"""Commands beside a container's process: `docker exec -it`, and an end to them.

Docker leaves a command running when whoever attached to it goes away, and has no call that would
end it. So its process is signalled: by its number on this machine where the engine may do that,
else by a `kill` inside of the container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from kaiun.engine.runtime.docker_client import failing_with, gone_is_fine
from kaiun.engine.runtime.processes import pid_inside, session_of

ROOT = "0"  # ECS Exec runs commands as root, whatever user the container has
TERMINAL = {"TERM": "xterm-256color"}  # as amazon-ssm-agent sets it
MIND_S, LOOK_EVERY_S = 2.0, 0.05  # time that a command has to end when it is hung up on

Kill = Callable[[int, int], None]
_ENDED = (aiodocker.DockerError, aiohttp.ClientError, OSError, RuntimeError)


class DockerExecution:
    """Implements runtime.base.Execution."""

    def __init__(self, docker: aiodocker.Docker, run: Exec, stream: Stream) -> None:
        self._docker, self._exec, self._stream = docker, run, stream

    @property
    def id(self) -> str:
        return self._exec.id

    async def start(self) -> None:
        await self._stream.__aenter__()

    async def read(self) -> bytes:
        try:
            message = await self._stream.read_out()
        except _ENDED:
            return b""
        return message.data if message is not None else b""

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(*_ENDED, AssertionError):
            await self._stream.write_in(data)

    async def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(*_ENDED):
            await self._exec.resize(h=rows, w=columns)

    async def end(self) -> None:
        with contextlib.suppress(*_ENDED, AssertionError):
            await self._stream.close()
        # a task of its own: in one that was cancelled, timeouts of Python 3.11 cancel on
        await asyncio.create_task(hang_up(self._docker, self.id))


async def execute(
    docker: aiodocker.Docker, container_id: str, command: Sequence[str]
) -> DockerExecution:
    """Run a command on a terminal in a container. Raises RuntimeFailure."""
    with failing_with("CannotExecuteError"):
        container = docker.containers.container(container_id)
        run = await container.exec(
            list(command), stdin=True, tty=True, user=ROOT, environment=TERMINAL
        )
        execution = DockerExecution(docker, run, run.start(detach=False))
        try:
            await execution.start()
        except BaseException:
            await execution.end()
            raise
    return execution


async def hang_up(docker: aiodocker.Docker, execution_id: str, kill: Kill = os.kill) -> None:
    """End a command if it still runs: SIGHUP, and after MIND_S SIGKILL to all in its session."""
    with gone_is_fine():
        state = await Exec(docker, execution_id).inspect()
        leader = state["Pid"]
        if not state["Running"] or not leader:
            return
        container = docker.containers.container(state["ContainerID"])
        members = {leader, *session_of(leader)}
        await _signal(container, [leader], signal.SIGHUP, kill)
        if left := await _left(leader, members):
            await _signal(container, left, signal.SIGKILL, kill)


async def _left(leader: int, members: set[int]) -> list[int]:
    """Return who of a session's members does not end within MIND_S."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MIND_S):
            while members & set(session_of(leader)):  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(LOOK_EVERY_S)
    return sorted(members & set(session_of(leader)))


async def _signal(
    container: DockerContainer, pids: Sequence[int], number: signal.Signals, kill: Kill
) -> None:
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                kill(pid, number)
    except PermissionError:
        inside = " ".join(str(pid_inside(pid)) for pid in pids)
        words = ["/bin/sh", "-c", f"kill -{int(number)} {inside}"]
        await (await container.exec(words, user=ROOT)).start(detach=True)
