"""Frames of the data channel: a header of 116 bytes, the payload's length, the payload.

    length of the header   4    sequence number   8    payload's SHA-256   32
    message type          32    flags             8    payload type         4
    schema version         4    message id       16    payload's length     4
    created, ms            8                           payload

Numbers are big-endian, the type is padded with spaces (or NULs), the halves of the id are swapped.
Source: session-manager-plugin, src/message/clientmessage.go and messageparser.go.
"""

from __future__ import annotations

import hashlib
import struct
import time
import uuid
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from kaiun.errors import SessionError

_HEADER = struct.Struct(">I32sIQqQ8s8s32sI")
_LENGTH = struct.Struct(">I")
_WITHOUT_TYPE = _HEADER.size - 4  # headers of the service's own messages lack the payload type
SCHEMA_VERSION = 1
SYN, FIN = 1, 2


class MessageType(StrEnum):
    """What a frame is."""

    INPUT = "input_stream_data"  # to the container
    OUTPUT = "output_stream_data"  # from it
    ACKNOWLEDGE = "acknowledge"
    CLOSED = "channel_closed"
    START = "start_publication"
    PAUSE = "pause_publication"


class PayloadType(IntEnum):
    """What the payload of a frame of a stream is."""

    NONE = 0
    OUTPUT = 1  # bytes of the terminal, both ways
    ERROR = 2
    SIZE = 3  # of the terminal
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    ENCRYPTION_REQUEST = 8
    ENCRYPTION_RESPONSE = 9
    FLAG = 10
    STDERR = 11
    EXIT_CODE = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `payload_type` is a PayloadType, or a number that is none."""

    message_type: str
    payload: bytes = b""
    payload_type: int = PayloadType.NONE
    sequence_number: int = 0
    flags: int = 0
    message_id: uuid.UUID = field(default_factory=uuid.uuid4)
    created_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    schema_version: int = SCHEMA_VERSION

    def encode(self) -> bytes:
        """Return the frame as it is sent."""
        most, least = self.message_id.bytes[:8], self.message_id.bytes[8:]
        header = _HEADER.pack(
            _HEADER.size,
            self.message_type.encode().ljust(32),
            self.schema_version,
            self.created_ms,
            self.sequence_number,
            self.flags,
            least,
            most,
            hashlib.sha256(self.payload).digest(),
            self.payload_type,
        )
        return header + _LENGTH.pack(len(self.payload)) + self.payload


def decode(data: bytes) -> Frame:
    """Return the frame that `data` is. Raises SessionError for bytes that are none.

    A header without payload type is taken too. The digest is checked where there is a payload.
    """
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0
    if length not in (_HEADER.size, _WITHOUT_TYPE) or len(data) < length + _LENGTH.size:
        raise SessionError(f"{len(data)} bytes came that are no frame of the data channel")
    padded = data[:length].ljust(_HEADER.size, b"\0")
    _, kind, version, created, number, flags, least, most, digest, what = _HEADER.unpack(padded)
    payload = data[length + _LENGTH.size :]
    _check(payload, _LENGTH.unpack_from(data, length)[0], digest)
    return Frame(
        message_type=kind.strip(b"\0 ").decode("ascii", "replace"),
        payload=payload,
        payload_type=what,
        sequence_number=number,
        flags=flags,
        message_id=uuid.UUID(bytes=most + least),
        created_ms=created,
        schema_version=version,
    )


def _check(payload: bytes, length: int, digest: bytes) -> None:
    if length != len(payload):
        raise SessionError(f"a frame holds {len(payload)} bytes and says that it holds {length}")
    if payload and hashlib.sha256(payload).digest() != digest:
        raise SessionError("a frame came that is not what was sent: its digest is another")
