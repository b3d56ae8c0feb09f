"""The receiver takes every mode of the forward protocol, and survives every malformed one."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest

from kaiun.engine.fluent import FluentReceiver, FluentRecord

Send = Callable[[bytes], Awaitable[bytes]]


def record(log: str, **more: str) -> dict[str, str]:
    named = {"container_id": "c1", "container_name": "/web", "source": "stderr"}
    return {"log": log, **named, **more}


def receive(body: Callable[[Send], Awaitable[None]]) -> list[FluentRecord]:
    """Run `body` against a receiver; a send returns what comes back until the end."""
    records: list[FluentRecord] = []

    async def whole() -> None:
        receiver = FluentReceiver("127.0.0.1", 0, records.append)
        await receiver.start()

        async def send(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                answer = await reader.read()
            writer.close()
            return answer

        await body(send)
        await receiver.close()

    asyncio.run(whole())
    return records


def take(*messages: object) -> list[FluentRecord]:
    async def body(send: Send) -> None:
        await send(b"".join(map(msgpack.packb, messages)))

    return receive(body)


EXPECTED = FluentRecord("t", 1700000000123, "c1", "web", "hi", "stderr")
EVENT_TIME = msgpack.ExtType(0, struct.pack(">II", 1700000000, 123456789))
ENTRIES = [[EVENT_TIME, record("hi")], [1700000001, record("ho")]]


def test_message_mode() -> None:
    assert take(["t", EVENT_TIME, record("hi")]) == [EXPECTED]


def test_message_mode_with_whole_seconds_and_options() -> None:
    [found] = take(["t", 1700000000, record("hi\n"), {"size": 1}])
    assert (found.timestamp_ms, found.message) == (1700000000000, "hi")


def test_forward_mode() -> None:
    found = take(["t", ENTRIES, {"size": 2}])
    assert [r.message for r in found] == ["hi", "ho"]
    assert found[0] == EXPECTED


@pytest.mark.parametrize("compress", [None, gzip.compress])
def test_packed_forward_mode(compress: Callable[[bytes], bytes] | None) -> None:
    parts = [msgpack.packb(entry) for entry in ENTRIES]
    if compress:  # members may be joined
        data, options = b"".join(map(compress, parts)), {"compressed": "gzip"}
    else:
        data, options = b"".join(parts), {}
    found = take(["t", data, options])
    assert [r.message for r in found] == ["hi", "ho"]
    assert found[0] == EXPECTED


def test_records_are_stored_once_before_they_are_acknowledged() -> None:
    steps: list[str] = []

    async def body() -> None:
        receiver = FluentReceiver(
            "127.0.0.1", 0, lambda r: steps.append(r.message), lambda: steps.append("stored")
        )
        await receiver.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        chunks = [msgpack.packb(["t", ENTRIES, {"chunk": chunk}]) for chunk in ("1", "2")]
        writer.write(b"".join(chunks))
        async with asyncio.timeout(10):
            assert msgpack.unpackb(await reader.readexactly(7)) == {"ack": "1"}
        writer.close()
        await receiver.close()

    asyncio.run(body())
    assert steps == ["hi", "ho", "hi", "ho", "stored"]


def test_chunk_is_acknowledged_after_its_records_were_taken() -> None:
    async def body(send: Send) -> None:
        answer = await send(msgpack.packb(["t", ENTRIES, {"chunk": "abc"}]))
        assert msgpack.unpackb(answer) == {"ack": "abc"}

    assert len(receive(body)) == 2


def test_record_of_another_sender_is_kept_as_json() -> None:
    [found] = take(["t", 1, {"level": "info", "n": 1}])
    assert (found.message, found.container_id) == ('{"level": "info", "n": 1}', "")


def test_bytes_that_are_no_text_are_replaced() -> None:
    data = msgpack.packb(["t", 1, record("XX")]).replace(b"XX", b"\xff\xfe")

    async def body(send: Send) -> None:
        await send(data)

    [found] = receive(body)
    assert found.message == "��"


def pieces(count: int, ident: str, text: str) -> list[Any]:
    return [
        ["t", 1 + n, record(f"{text}{n}", partial_message="true", partial_id=ident,
         partial_ordinal=str(n), partial_last=str(n == count - 1).lower())]
        for n in range(count)
    ]  # fmt: skip


def test_pieces_of_a_long_line_are_joined_even_when_interleaved() -> None:
    one, two = pieces(3, "i1", "a"), pieces(2, "i2", "b")
    found = take(one[0], two[0], one[1], two[1], ["t", 9, record("whole")], one[2])
    assert [(r.message, r.timestamp_ms) for r in found] == [
        ("b0b1", 1000),
        ("whole", 9000),
        ("a0a1a2", 1000),
    ]


def test_lines_that_never_end_are_bounded_in_number() -> None:
    found = take(*(pieces(2, f"i{n}", "x")[0] for n in range(300)))
    assert len(found) == 300 - 256


def test_line_that_never_ends_is_bounded_in_length() -> None:
    long = "y" * 16384
    found = take(
        *(["t", 1, record(long, partial_message="true", partial_id="i")] for _ in range(40))
    )
    assert [len(r.message) for r in found] == [256 * 1024] * 2


BOMB = gzip.compress(bytes(64 * 1024 * 1024))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xc1",
        msgpack.packb({"a": 1}),
        msgpack.packb([1, 2, 3]),
        msgpack.packb(["t"]),
        msgpack.packb(["t", 1]),
        msgpack.packb(["t", 1, "not a map"]),
        msgpack.packb(["t", [[1]]]),
        msgpack.packb(["t", [["when", {}]]]),
        msgpack.packb(["t", b"\xc1\xc1", {}]),
        msgpack.packb(["t", b"not gzip", {"compressed": "gzip"}]),
        msgpack.packb(["t", gzip.compress(b"x")[:-4], {"compressed": "gzip"}]),
        msgpack.packb(["t", BOMB, {"compressed": "gzip"}]),
        b"\xdd\xff\xff\xff\xff" + b"\x01" * 1000,
        b"\xc6\x7f\xff\xff\xff" + os.urandom(1 << 20) * 20,
        b"\x91" * 5000,
    ],
)
def test_malformed_input_ends_its_own_connection_only(data: bytes) -> None:
    async def body(send: Send) -> None:
        with contextlib.suppress(ConnectionError):  # closed while more was on its way
            assert await send(data) == b""
        await send(msgpack.packb(["t", EVENT_TIME, record("hi")]))

    assert receive(body) == [EXPECTED]
