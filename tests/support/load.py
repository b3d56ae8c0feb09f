"""A steady load of HTTP requests, half of it on keep-alive connections, half on new ones.

Open loop: request n is due at start + n / rate whatever the earlier ones do, so that a stall of
the server shows as late and failed requests instead of as fewer requests. Every failure is kept
with its time and cause. Runs in a thread of its own, on loopback only, and ends by itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

KEPT_CONNECTIONS = 4


@dataclass(slots=True)
class Report:
    """What became of the load: counts, failures as (seconds since start, cause), versions seen."""

    sent: int = 0
    ok: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    bodies_with: dict[str, int] = field(default_factory=dict)


class _Connection:
    """One HTTP/1.1 connection; `keep` asks the server to keep it open."""

    def __init__(self, port: int, *, keep: bool) -> None:
        self.port = port
        self.keep = keep
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        closing = "keep-alive" if self.keep else "close"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {closing}\r\n\r\n".encode()
        )
        await writer.drain()
        status, headers = await _head(reader)
        body = await _body(reader, headers)
        if not self.keep or headers.get("connection", "").lower() == "close":
            self.close()
        return status, body

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = raw.rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.read()
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


class Load:
    """`with Load(port, "/", rate=50, look_for=["v1"]) as load: …`; then read `load.report`.

    `limit_s` bounds the whole run even if the body of the `with` never ends.
    """

    def __init__(
        self,
        port: int,
        path: str = "/",
        *,
        rate: float = 50.0,
        timeout_s: float = 10.0,
        limit_s: float = 1800.0,
        look_for: tuple[str, ...] = (),
    ) -> None:
        self.port, self.path, self.rate = port, path, rate
        self.timeout_s, self.limit_s, self.look_for = timeout_s, limit_s, look_for
        self.report = Report()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(self.timeout_s + 5)

    async def _run(self) -> None:
        kept: asyncio.Queue[_Connection] = asyncio.Queue()
        for _ in range(KEPT_CONNECTIONS):
            kept.put_nowait(_Connection(self.port, keep=True))
        start = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        while not self._stop.is_set() and time.monotonic() - start < self.limit_s:
            due = start + self.report.sent / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            keep = self.report.sent % 2 == 0
            self.report.sent += 1
            task = asyncio.create_task(self._one(kept, start, keep=keep))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        while not kept.empty():
            kept.get_nowait().close()

    async def _one(self, kept: asyncio.Queue[_Connection], start: float, *, keep: bool) -> None:
        connection = await kept.get() if keep else _Connection(self.port, keep=False)
        began = time.monotonic()
        try:
            status, body = await asyncio.wait_for(connection.get(self.path), self.timeout_s)
            self._judge(status, body, began - start)
        except (OSError, EOFError, ValueError, IndexError, TimeoutError) as error:
            connection.close()
            self.report.failures.append((began - start, f"{type(error).__name__}: {error}"))
        finally:
            self.report.slowest_s = max(self.report.slowest_s, time.monotonic() - began)
            if keep:
                kept.put_nowait(connection)

    def _judge(self, status: int, body: bytes, at_s: float) -> None:
        if status != 200:
            self.report.failures.append((at_s, f"HTTP {status}"))
            return
        self.report.ok += 1
        for text in self.look_for:
            if text.encode() in body:
                self.report.bodies_with[text] = self.report.bodies_with.get(text, 0) + 1
