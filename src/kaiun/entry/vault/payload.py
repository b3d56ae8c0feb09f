"""What Rails puts inside an encrypted message: one String, as Ruby's Marshal or as JSON."""

from __future__ import annotations

import json

from .problem import VaultError

MARSHAL = b"\x04\x08"
_UTF8 = b"\x06:\x06ET"
_BROKEN = "the decrypted payload is not one String of Ruby's Marshal or JSON"


def load(payload: bytes) -> tuple[bytes, bytes]:
    """Return the text's bytes, and the frame that `dump` needs to wrap another text alike.

    Source: marshal.c of Ruby, format 4.8. Raises VaultError.
    """
    if not payload.startswith(MARSHAL):
        return _json(payload), b"json"
    body = payload[2:]
    wrapped = body[:1] == b"I"
    body = body[1:] if wrapped else body
    if body[:1] != b'"':
        raise VaultError(_BROKEN)
    length, start = _length(body, 1)
    text, rest = body[start : start + length], body[start + length :]
    if len(text) != length or bool(rest) != wrapped:
        raise VaultError(_BROKEN)
    return text, rest


def dump(text: bytes, frame: bytes = _UTF8) -> bytes:
    """Return the payload of `text`: UTF-8 Marshal unless `load` gave another frame."""
    if frame == b"json":
        return json.dumps(text.decode(), ensure_ascii=False).encode()
    return MARSHAL + (b"I" if frame else b"") + b'"' + _number(len(text)) + text + frame


def _json(payload: bytes) -> bytes:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise VaultError(_BROKEN) from None
    if not isinstance(value, str):
        raise VaultError(_BROKEN)
    return value.encode("utf-8", "surrogatepass")


def _length(data: bytes, place: int) -> tuple[int, int]:
    """Return a Marshal fixnum, not negative, and where it ends."""
    first = data[place] if place < len(data) else 0xFF
    if first == 0:
        return 0, place + 1
    if 5 < first < 128:
        return first - 5, place + 1
    if first in {1, 2, 3, 4}:
        raw = data[place + 1 : place + 1 + first]
        return int.from_bytes(raw, "little"), place + 1 + first
    raise VaultError(_BROKEN)


def _number(value: int) -> bytes:
    if value == 0:
        return b"\0"
    if value < 123:
        return bytes([value + 5])
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "little")
