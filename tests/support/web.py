"""Small HTTP servers and one request at a time, over bare streams on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

CRLF2: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Reply:
    """`headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(slots=True)
class Site:
    """Answers 200 with its name and the request's head, after `delay_s`; counts requests."""

    name: str
    delay_s: float = 0.0
    status: int = 200
    port: int = 0
    requests: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close everything at once, as a killed process does."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(CRLF2)
                self.requests += 1
                await asyncio.sleep(self.delay_s)
                await self._answer(head, writer)
                if b"\r\nconnection: close" in head.lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"\r\nupgrade: websocket" in head.lower():
            accept = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" + accept)
            writer.write(b"Connection: Upgrade\r\n\r\nhello from " + self.name.encode())
            return
        body = self.name.encode() + b"\n" + head
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        writer.write(f"HTTP/1.1 {self.status} Some\r\n".encode() + length + body)
        await writer.drain()


@asynccontextmanager
async def sites(*names: str, delay_s: float = 0.0) -> AsyncIterator[list[Site]]:
    made = [Site(name, delay_s) for name in names]
    try:
        for site in made:
            await site.start()
        yield made
    finally:
        for site in made:
            await site.close()


async def get(
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Make one request on a connection of its own."""
    sent = {"Host": "localhost", **(headers or {}), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    name = sent["Host"] if tls is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        async with asyncio.timeout(30):
            head, _, body = (await reader.read()).partition(CRLF2)
    finally:
        writer.close()
    first, *rest = head.decode().split("\r\n")
    pairs = (line.partition(":") for line in rest)
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Reply(int(first.split()[1]), found, body.decode())
