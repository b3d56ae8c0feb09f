"""kaiun's own format: each value is a token `kaiun.1.KEYID.DATA`, a plain scalar.

key    32 random bytes, written as 64 hexadecimal digits; there is no key derivation
KEYID  8 hexadecimal digits: the beginning of SHA-256("kaiun key id" 00 key)
DATA   base64url without padding of: nonce (12 bytes), AES-256-GCM ciphertext, tag (16 bytes)
text   "COLUMN:" and the value as it stood in the file, quotes and block indicators included;
       COLUMN is where its lines' indentation counts from
AAD    "kaiun.1." KEYID "." number of the document "." "b" or "f" (block or flow), then for each
       step of the key path "." and "k" LENGTH ":" KEY or "i" INDEX
A value thus opens under its own key path only: two values cannot be swapped.
"""

from __future__ import annotations

import binascii
import hashlib
import os

from .cipher import NONCE_LEN, REFUSED, TAG_LEN, open_aead, seal_aead
from .problem import VaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .keypath import Path

PREFIX = "kaiun.1."
KEY_DIGITS = 64
ID_DIGITS = 8
CIPHER = "aes-256-gcm"
_HEAD = len(PREFIX) + ID_DIGITS + 1
_SHORTEST = _HEAD + 4 * (NONCE_LEN + TAG_LEN + 2) // 3
_MOVED = f"{REFUSED}, or moved from another key path"


class Place:
    """Where a token stands: what binds it."""

    __slots__ = ("document", "in_flow", "path")

    def __init__(self, path: Path, document: int = 0, *, in_flow: bool = False) -> None:
        self.path = path
        self.document = document
        self.in_flow = in_flow

    def bound(self, key_id: str) -> bytes:
        steps = [
            f".i{step}" if isinstance(step, int) else f".k{len(step)}:{step}" for step in self.path
        ]
        head = f"{PREFIX}{key_id}.{self.document}.{'f' if self.in_flow else 'b'}"
        return (head + "".join(steps)).encode("utf-8", "surrogatepass")


class Keys:
    """The keys given, by their ids; the first one encrypts."""

    def __init__(self, text: str) -> None:
        keys = [_key(word) for word in text.replace(",", " ").split()]
        if not keys:
            raise VaultError("no key")
        self._keys = {key_id(key): key for key in reversed(keys)}
        self.id = key_id(keys[0])

    def open(self, text: str, place: Place) -> tuple[int, str]:
        """Return the column and the value as it stood in the file. Raises VaultError."""
        named, data = text[len(PREFIX) : _HEAD - 1], text[_HEAD:]
        if not text.startswith(PREFIX) or len(text) < _SHORTEST or text[_HEAD - 1] != ".":
            raise VaultError("is a damaged value of kaiun's format")
        if named not in self._keys:
            given = ", ".join(self._keys)
            raise VaultError(f"was encrypted with key {named[:ID_DIGITS]!r}, given: {given}")
        raw = _decode(data)
        nonce, sealed = raw[:NONCE_LEN], raw[NONCE_LEN:]
        try:
            opened = open_aead(CIPHER, self._keys[named], nonce, sealed, place.bound(named))
        except VaultError as error:
            raise VaultError(_MOVED if error.message == REFUSED else error.message) from None
        column, _, value = opened.decode("utf-8").partition(":")
        return int(column), value

    def seal(self, value: str, column: int, place: Place) -> str:
        """Return the token of a value as it stands in the file."""
        nonce = os.urandom(NONCE_LEN)
        text = f"{column}:{value}".encode()
        sealed = seal_aead(CIPHER, self._keys[self.id], nonce, text, place.bound(self.id))
        data = binascii.b2a_base64(nonce + sealed, newline=False).decode("ascii")
        return f"{PREFIX}{self.id}." + data.rstrip("=").replace("+", "-").replace("/", "_")


def resembles(text: str) -> bool:
    """Return whether a value is a token, or was one before somebody damaged it."""
    if text.startswith(PREFIX) or (len(text) > len("kaiun") and PREFIX.startswith(text)):
        return True
    head = text[: len(PREFIX)]
    changed = sum(one != other for one, other in zip(head, PREFIX))
    return len(text) >= _SHORTEST and changed <= 2 and " " not in text


def key_id(key: bytes) -> str:
    return hashlib.sha256(b"kaiun key id\0" + key).hexdigest()[:ID_DIGITS]


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) * 2 != KEY_DIGITS:
        raise VaultError(f"a key of kaiun is {KEY_DIGITS} hexadecimal digits, this one is not")
    return key


def _decode(data: str) -> bytes:
    """Return the bytes of base64url; one text for each bytes, so nothing can be bent."""
    standard = data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4)
    try:
        raw = binascii.a2b_base64(standard.encode("ascii"))
    except ValueError:
        raise VaultError(REFUSED) from None
    again = binascii.b2a_base64(raw, newline=False).decode("ascii")
    if again != standard or "+" in data or "/" in data:
        raise VaultError(REFUSED)
    return raw
