"""Messages of ActiveSupport::MessageEncryptor: strict Base64, parts joined by `--`.

AEAD: b64(ciphertext) "--" b64(nonce) "--" b64(tag), 3 parts.
Others: data "--" hex(HMAC(data)) where data = b64(b64(ciphertext) "--" b64(iv)), 2 parts.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os

from .cipher import (
    BLOCK,
    NONCE_LEN,
    REFUSED,
    TAG_LEN,
    open_aead,
    open_plain,
    seal_aead,
    seal_plain,
)  # fmt: skip
from .problem import VaultError

SEPARATOR = "--"
DIGEST_OF_LENGTH = {32: "MD5", 40: "SHA1", 56: "SHA224", 64: "SHA256", 96: "SHA384", 128: "SHA512"}
NOT_ENCRYPTED = "is not encrypted"


def parts(text: str) -> list[str]:
    """Return the 3 parts of an AEAD message or the 2 of a signed one. Raises VaultError."""
    found = text.split(SEPARATOR)
    if len(found) not in {2, 3} or (len(found) == 2 and len(found[1]) not in DIGEST_OF_LENGTH):
        raise VaultError(NOT_ENCRYPTED)
    return found


def open_sealed(cipher: str, key: bytes, found: list[str]) -> bytes:
    """Return the payload of an AEAD message. Raises VaultError."""
    sealed, nonce, tag = [decode(part) for part in found]
    if len(tag) != TAG_LEN:
        raise VaultError(REFUSED)
    return open_aead(cipher, key, nonce, sealed + tag)


def open_signed(cipher: str, key: bytes, signing: bytes, digest: str, found: list[str]) -> bytes:
    """Return the payload of a signed message, whose signature is verified first."""
    data, signature = found
    if not hmac.compare_digest(_sign(signing, digest, data).encode(), signature.encode()):
        raise VaultError(REFUSED)
    inner = decode(data).decode("ascii", "replace").split(SEPARATOR)
    if len(inner) != 2:
        raise VaultError(REFUSED)
    return open_plain(cipher, key, decode(inner[1]), decode(inner[0]))


def seal(cipher: str, key: bytes, payload: bytes) -> str:
    """Return an AEAD message with a random nonce."""
    nonce = os.urandom(NONCE_LEN)
    sealed = seal_aead(cipher, key, nonce, payload)
    return SEPARATOR.join(encode(raw) for raw in (sealed[:-TAG_LEN], nonce, sealed[-TAG_LEN:]))


def seal_and_sign(cipher: str, key: bytes, signing: bytes, digest: str, payload: bytes) -> str:
    """Return a signed message with a random initialisation vector."""
    iv = os.urandom(BLOCK)
    inner = encode(seal_plain(cipher, key, iv, payload)) + SEPARATOR + encode(iv)
    data = encode(inner.encode())
    return data + SEPARATOR + _sign(signing, digest, data)


def decode(text: str) -> bytes:
    """Return the bytes of strict Base64; one text for each bytes, so nothing can be bent."""
    try:
        raw = binascii.a2b_base64(text.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        raise VaultError(REFUSED) from None
    if encode(raw) != text:
        raise VaultError(REFUSED)
    return raw


def encode(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def _sign(key: bytes, digest: str, data: str) -> str:
    name = digest.lower().replace("-", "")
    if name not in hashlib.algorithms_available:
        raise VaultError(f"no digest {digest!r}; one of {', '.join(DIGEST_OF_LENGTH.values())}")
    return hmac.new(key, data.encode("utf-8", "surrogatepass"), name).hexdigest()
