"""Rails' encrypted credentials: one AES-128-GCM message, its key 32 hexadecimal digits."""

from __future__ import annotations

from . import message, payload
from .document import MAX_BYTES
from .problem import VaultError

CIPHER = "aes-128-gcm"
KEY_DIGITS = 32


def open_file(data: bytes, key: str) -> tuple[bytes, bytes]:
    """Return the text and the payload's frame. Raises VaultError."""
    if len(data) > 2 * MAX_BYTES:
        raise VaultError(f"larger than {2 * MAX_BYTES >> 20} MiB")
    parts = data.strip().decode("ascii", "replace").split(message.SEPARATOR)
    if len(parts) != 3:
        raise VaultError("is not a file of Rails credentials")
    return payload.load(message.open_sealed(CIPHER, key_bytes(key), parts))


def key_bytes(key: str) -> bytes:
    """Return the key. Raises VaultError unless it is 32 hexadecimal digits."""
    try:
        raw = bytes.fromhex(key.strip())
    except ValueError:
        raw = b""
    if len(raw) * 2 != KEY_DIGITS:
        raise VaultError(f"Rails' master key is {KEY_DIGITS} hexadecimal digits, this one is not")
    return raw
