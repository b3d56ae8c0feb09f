"""Messages and what follows them survive the way; half a message is the end."""

from __future__ import annotations

import io
import os
import threading

import pytest

from kaiun.image.host.channel import Channel


def sent(*messages: tuple[dict[str, object], bytes]) -> bytes:
    buffer = io.BytesIO()
    channel = Channel(io.BytesIO(), buffer)
    for message, data in messages:
        channel.send(message, data)
    return buffer.getvalue()


def test_messages_arrive_in_order_with_their_data() -> None:
    wire = sent(({"job": 1, "line": "a\nb"}, b""), ({"job": 2}, b"\n{}\n"), ({"ping": True}, b""))
    channel = Channel(io.BytesIO(wire), io.BytesIO())
    assert channel.receive() == ({"job": 1, "line": "a\nb"}, b"")
    assert channel.receive() == ({"job": 2, "bytes": 4}, b"\n{}\n")
    assert channel.receive() == ({"ping": True}, b"")
    assert channel.receive() is None


def test_what_was_cut_off_anywhere_is_an_end() -> None:
    wire = sent(({"job": 1}, b"12345"))
    for length in range(len(wire)):
        assert Channel(io.BytesIO(wire[:length]), io.BytesIO()).receive() is None


def test_closing_frees_a_sender_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    channel = Channel(io.BytesIO(), os.fdopen(writer, "wb"))
    failed = threading.Event()

    def send() -> None:
        try:
            channel.send({}, b"x" * (1 << 20))
        except OSError:
            failed.set()

    thread = threading.Thread(target=send)
    thread.start()
    os.close(reader)
    thread.join(10)
    assert failed.is_set()
    channel.close(patience_s=0.05)


def test_sending_after_the_end_is_an_error() -> None:
    channel = Channel(io.BytesIO(), io.BytesIO())
    channel.close()
    with pytest.raises((OSError, ValueError)):
        channel.send({"ping": True})
