"""Follow what containers write, through the logs endpoint of the Docker Engine API.

Where a container was left off is kept in one small file for each, so that after `kill -9` the
next engine goes on from there. It is rewritten when the sink has taken a batch, or, for a caller
that keeps lines in batches of its own, when that caller has: then no line is lost, and none but
those between that moment and the crash comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiodocker
import aiohttp

from kaiun.engine.runtime.base import LogLine, Observation, Sink
from kaiun.engine.runtime.docker_client import stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_STREAMS: Final = {1: "stdout", 2: "stderr"}
_LONGEST: Final = 256 * 1024  # bytes of one event, as CloudWatch Logs has it
_RETRY_S: Final = 0.5


@dataclass(slots=True)
class Position:
    """Where to go on: so many messages of this nanosecond have been read.

    `run` is the one that was read to its end, by its start: a container may be started again.
    """

    stamp: str = ""
    count: int = 0
    run: str = ""

    def advance(self, stamp: str) -> None:
        self.count = self.count + 1 if stamp == self.stamp else 1
        self.stamp = stamp


class Positions:
    """The positions of all containers, as files named by container id in one folder.

    Written after every batch (`at_once`), or else by `write` only.
    """

    def __init__(self, folder: Path, *, at_once: bool = True) -> None:
        self._folder = folder
        self._at_once = at_once
        self._unwritten: dict[str, str] = {}

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, container_id: str) -> Position:
        try:
            stamp, count, run = (self._folder / container_id).read_text().split(",")
            return Position(stamp, int(count), run.strip())
        except (OSError, ValueError):
            return Position()

    def save(self, container_id: str, position: Position) -> None:
        text = f"{position.stamp},{position.count},{position.run}"
        self._unwritten[container_id] = text.ljust(64)
        if self._at_once:
            self.write()

    def write(self) -> None:
        for container_id, text in self._unwritten.items():
            (self._folder / container_id).write_text(text)
        self._unwritten.clear()

    def forget(self, container_id: str) -> None:
        self._unwritten.pop(container_id, None)
        (self._folder / container_id).unlink(missing_ok=True)

    def keep_only(self, container_ids: set[str]) -> None:
        for path in self._folder.iterdir():
            if path.name not in container_ids:
                path.unlink(missing_ok=True)


@dataclass(slots=True)
class Follower:
    """Reads one container's log to its end, and tells the sink."""

    docker: aiodocker.Docker
    container: Observation
    tty: bool
    positions: Positions
    sink: Sink
    _partial: dict[str, tuple[str, list[bytes]]] = field(default_factory=dict)

    async def run(self) -> None:
        """Return when the container has stopped and all it wrote was handed over, or is gone."""
        position = self.positions.load(self.container.runtime_id)
        run = str(self.container.started_at)
        while position.run != run:
            try:
                await self._follow(position)
                position.run = run
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return
                await asyncio.sleep(_RETRY_S)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(_RETRY_S)
        with contextlib.suppress(OSError):
            self.positions.save(self.container.runtime_id, position)

    async def _follow(self, position: Position) -> None:
        """Read until the container has stopped, then what Docker still has: where a container ends
        as it writes, the followed stream may lack the last lines (moby 20.10)."""
        await self._read(position, follow=True)
        await self._check_stopped()
        await self._read(position, follow=False)
        for source, (first, pieces) in self._partial.items():
            self._tell(source, first, pieces)

    async def _read(self, position: Position, *, follow: bool) -> None:
        params: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1}
        params["follow"] = int(follow)
        skip = 0
        if position.stamp:
            params["since"] = _since(position.stamp)
            skip = position.count
        resumed_at = position.stamp
        path = f"containers/{self.container.runtime_id}/logs"
        async with stream(self.docker, path, params) as answer:
            decode = _raw(answer.content) if self.tty else _frames(answer.content)
            async for batch in decode:
                for source, payload in batch:
                    stamp, message = _split(payload)
                    if skip and stamp == resumed_at:
                        skip -= 1
                        continue
                    self._take(source, stamp, message, position)
                if position.stamp and not self._partial:
                    self.positions.save(self.container.runtime_id, position)

    async def _check_stopped(self) -> None:
        """The stream ends when the container stops, but also when dockerd does."""
        state = (await self.docker.containers.container(self.container.runtime_id).show())["State"]
        if state["Running"]:
            raise aiohttp.ClientConnectionError("the log stream ended early")

    def _take(self, source: str, stamp: str, message: bytes, position: Position) -> None:
        """Join the 16 KiB pieces that Docker cuts long lines into: all but the last lack \\n."""
        first, pieces = self._partial.pop(source, (stamp, []))
        pieces.append(message)
        position.advance(stamp)
        if not message.endswith(b"\n") and sum(map(len, pieces)) < _LONGEST:
            self._partial[source] = (first, pieces)
            return
        self._tell(source, first, pieces)

    def _tell(self, source: str, stamp: str, pieces: list[bytes]) -> None:
        text = b"".join(pieces).rstrip(b"\r\n").decode(errors="replace")
        of = self.container
        self.sink(LogLine(of.task_id, of.name, _milliseconds(stamp), text, source))


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Take the multiplexed stream apart: stream type, three zeros, length, payload."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        batch = list(_whole_frames(buffer))
        if batch:
            yield batch


def _whole_frames(buffer: bytearray) -> Iterator[tuple[str, bytes]]:
    start = 0
    while len(buffer) - start >= 8:
        kind, length = struct.unpack_from(">BxxxI", buffer, start)
        if len(buffer) - start - 8 < length:
            break
        yield _STREAMS.get(kind, "stdout"), bytes(buffer[start + 8 : start + 8 + length])
        start += 8 + length
    del buffer[:start]


async def _raw(content: aiohttp.StreamReader) -> AsyncIterator[list[tuple[str, bytes]]]:
    """A terminal's log comes without frames: one line is one message."""
    buffer = b""
    async for chunk in content.iter_any():
        *lines, buffer = (buffer + chunk).split(b"\n")
        if lines:
            yield [("stdout", line + b"\n") for line in lines]
    if buffer:
        yield [("stdout", buffer)]


def _split(payload: bytes) -> tuple[str, bytes]:
    stamp, _, message = payload.partition(b" ")
    return stamp.decode(errors="replace"), message


def _whole_seconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC).timestamp())


def _since(stamp: str) -> str:
    """Return `since` as Docker reads it: seconds and nanoseconds, inclusive."""
    return f"{_whole_seconds(stamp)}.{stamp[20:29]}"


def _milliseconds(stamp: str) -> int:
    return _whole_seconds(stamp) * 1000 + int(stamp[20:23])
