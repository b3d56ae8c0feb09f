"""Frames as session-manager-plugin and amazon-ssm-agent lay them out."""

from __future__ import annotations

import uuid

import pytest

from kaiun.errors import SessionError
from kaiun.session.frames import Frame, MessageType, PayloadType, decode

# The message of TestSerializeAndDeserializeClientMessage in the plugin's messageparser_test.go,
# written out by hand from the offsets in its clientmessage.go.
MESSAGE = Frame(
    MessageType.INPUT,
    b"payload",
    sequence_number=1,
    flags=2,
    message_id=uuid.UUID("dd01e56b-ff48-483e-a508-b5f073f31b16"),
    created_ms=1503434274948,
)
BYTES = bytes.fromhex(
    "00000074"  # header: 116 bytes
    "696e7075745f73747265616d5f64617461202020202020202020202020202020"  # type, padded to 32
    "00000001"  # schema version
    "0000015e0baa7884"  # created
    "0000000000000001"  # sequence number
    "0000000000000002"  # flags: FIN
    "a508b5f073f31b16dd01e56bff48483e"  # id, its second half first
    "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5"  # SHA-256
    "00000000"  # payload type
    "00000007"
    "7061796c6f6164"
)


def test_frame_is_laid_out_as_the_plugin_has_it() -> None:
    assert MESSAGE.encode() == BYTES


def test_frame_is_read_as_it_was_written() -> None:
    assert decode(BYTES) == MESSAGE


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_type_is_read_whatever_pads_it(padding: bytes) -> None:
    padded = BYTES[:4] + BYTES[4:36].rstrip().ljust(32, padding) + BYTES[36:]
    assert decode(padded).message_type == MessageType.INPUT


def test_header_without_payload_type_is_read() -> None:
    short = (112).to_bytes(4, "big") + BYTES[4:112] + BYTES[116:]
    assert decode(short) == MESSAGE


def test_numbers_beyond_32_bits_are_whole() -> None:
    frame = Frame(MessageType.OUTPUT, b"x", PayloadType.OUTPUT, sequence_number=1 << 40)
    assert decode(frame.encode()) == frame


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        BYTES[:119],
        BYTES[:-1],
        BYTES + b"x",
        BYTES[:-1] + b"D",  # another payload than the digest's
        (1 << 31).to_bytes(4, "big") + BYTES[4:],
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(SessionError):
        decode(data)
