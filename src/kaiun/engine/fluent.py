"""Receive logs in Fluentd's forward protocol, as Docker's fluentd log driver sends them.

Message, Forward, PackedForward and compressed PackedForward modes, EventTime, chunk
acknowledgements. No handshake and no TLS: it listens on loopback only.
Source: Fluentd forward protocol specification, version 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgpack

_READ_BYTES: Final = 64 * 1024
_BUFFER_BYTES: Final = 16 * 1024 * 1024  # one message, and what a packed one may grow to
_LINE_BYTES: Final = 256 * 1024  # of a joined line, as CloudWatch Logs has it
_LINES: Final = 256  # that are being joined, of all containers
_EVENT_TIME: Final = 0  # msgpack extension type


@dataclass(frozen=True, slots=True)
class FluentRecord:
    """One line of a container. `source` is stdout or stderr; ids are empty for other senders."""

    tag: str
    timestamp_ms: int
    container_id: str
    container_name: str
    message: str
    source: str


OnRecord = Callable[[FluentRecord], None]


class FluentReceiver:
    """Listens on `host` and `port` (0: any; see `port` after start).

    `keep` stores the records taken so far: it is called before any of them is acknowledged, once
    for all that came together. (Docker's driver sends again what was not acknowledged.)
    """

    def __init__(
        self, host: str, port: int, on_record: OnRecord, keep: Callable[[], None] = lambda: None
    ) -> None:
        self.host = host
        self.port = port
        self._keep = keep
        self._joiner = Joiner(on_record)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._receive(reader, writer)
        except (OSError, ValueError, TypeError, LookupError, zlib.error, msgpack.UnpackException):
            pass  # malformed: this connection ends, no other
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unpacker = _unpacker()
        while data := await reader.read(_READ_BYTES):
            unpacker.feed(data)
            chunks = [self._take(message) for message in unpacker]
            acknowledged = [msgpack.packb({"ack": chunk}) for chunk in chunks if chunk is not None]
            if acknowledged:
                self._keep()
                writer.writelines(acknowledged)
                await writer.drain()

    def _take(self, message: list[Any]) -> str | None:
        """Hand over the records of one message; return the chunk to acknowledge."""
        tag, options = decode_tag(message)
        for time_ms, record in decode(message, options):
            self._joiner.take(tag, time_ms, record)
        chunk = options.get("chunk")
        return chunk if isinstance(chunk, str) else None


def _unpacker() -> Any:
    return msgpack.Unpacker(
        raw=False,
        unicode_errors="replace",
        strict_map_key=False,
        max_buffer_size=_BUFFER_BYTES,
        ext_hook=_extension,
    )


def _extension(code: int, data: bytes) -> float | msgpack.ExtType:
    """EventTime: seconds and nanoseconds, 32 bits each, to seconds."""
    if code == _EVENT_TIME and len(data) == 8:
        seconds, nanoseconds = struct.unpack(">II", data)
        return float(seconds) + float(nanoseconds) / 1e9
    return msgpack.ExtType(code, data)


def decode_tag(message: list[Any]) -> tuple[str, dict[str, Any]]:
    """Return tag and options. Raises ValueError unless it is a message of the protocol."""
    if not isinstance(message, list) or len(message) < 2 or not isinstance(message[0], str):
        raise ValueError("not a forward message")
    at = 3 if isinstance(message[1], int | float) else 2
    options = message[at] if len(message) > at else {}
    return message[0], options if isinstance(options, dict) else {}


def decode(message: list[Any], options: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (milliseconds, record) of a message in any of the four modes."""
    entries = message[1]
    if isinstance(entries, int | float):
        entries = [[entries, message[2]]]
    elif isinstance(entries, bytes | str):
        packed = entries.encode("latin-1") if isinstance(entries, str) else entries
        unpacker = _unpacker()
        unpacker.feed(gunzip(packed) if options.get("compressed") == "gzip" else packed)
        entries = unpacker
    for time_s, record in entries:
        if not isinstance(record, dict):
            raise TypeError("a record is a map")
        yield round(time_s * 1000), record


def gunzip(data: bytes) -> bytes:
    """Return all members, joined. Raises ValueError beyond the bound."""
    out = bytearray()
    while data:
        member = zlib.decompressobj(wbits=31)
        out += member.decompress(data, _BUFFER_BYTES - len(out))
        if member.unconsumed_tail:
            raise ValueError("too large")
        if not member.eof:
            raise ValueError("cut short")
        data = member.unused_data
    return bytes(out)


class Joiner:
    """Joins the 16 KiB pieces that Docker cuts a long line into. Bounded in lines and bytes."""

    def __init__(self, on_record: OnRecord) -> None:
        self._on_record = on_record
        self._open: OrderedDict[tuple[str, str], tuple[FluentRecord, list[str]]] = OrderedDict()

    def take(self, tag: str, time_ms: int, record: dict[str, Any]) -> None:
        piece = _record(tag, time_ms, record)
        if record.get("partial_message") != "true":
            self._on_record(piece)
            return
        key = (piece.container_id, str(record.get("partial_id")))
        first, pieces = self._open.pop(key, (piece, []))
        pieces.append(piece.message)
        if record.get("partial_last") == "true" or sum(map(len, pieces)) >= _LINE_BYTES:
            self._emit(first, pieces)
            return
        self._open[key] = (first, pieces)
        if len(self._open) > _LINES:
            self._emit(*self._open.popitem(last=False)[1])

    def _emit(self, first: FluentRecord, pieces: list[str]) -> None:
        self._on_record(
            FluentRecord(
                first.tag,
                first.timestamp_ms,
                first.container_id,
                first.container_name,
                "".join(pieces),
                first.source,
            )
        )


def _record(tag: str, time_ms: int, record: dict[str, Any]) -> FluentRecord:
    """Docker's record has the line in `log`; any other record is its own message, as JSON."""
    line = record.get("log")
    message = line if isinstance(line, str) else json.dumps(record, default=str)
    return FluentRecord(
        tag=tag,
        timestamp_ms=time_ms,
        container_id=str(record.get("container_id", "")),
        container_name=str(record.get("container_name", "")).removeprefix("/"),
        message=message.rstrip("\r\n"),
        source=str(record.get("source", "stdout")),
    )
