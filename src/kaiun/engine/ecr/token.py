"""The password of ECR's docker login: good for twelve hours, for this engine alone.

It says itself until when it is good, signed by a key that is made of the engine's secret key; so
it is kept nowhere, and outlives `kill -9` and `down`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

USER: Final = "AWS"
LIFE_S: Final = 12 * 3600
_MARK: Final = "kaiun ecr "
_MAC_BYTES: Final = hashlib.sha256().digest_size


class InvalidTokenError(Exception):
    """It was never given out here."""


class ExpiredTokenError(Exception):
    """It was good once."""


def make(secret_key: str, now: float) -> tuple[str, float]:
    """Return a password and until when it is good, in seconds since the epoch."""
    expires = int(now) + LIFE_S
    said = f"{_MARK}{expires} {secrets.token_hex(16)}".encode()
    return base64.urlsafe_b64encode(_mac(secret_key, said) + said).decode(), float(expires)


def check(secret_key: str, user: str, password: str, now: float) -> None:
    """Raises InvalidTokenError or ExpiredTokenError."""
    try:
        whole = base64.urlsafe_b64decode(password)
    except (binascii.Error, ValueError):
        raise InvalidTokenError from None
    mac, said = whole[:_MAC_BYTES], whole[_MAC_BYTES:]
    if user != USER or not hmac.compare_digest(mac, _mac(secret_key, said)):
        raise InvalidTokenError
    if now >= int(said.decode().removeprefix(_MARK).split()[0]):
        raise ExpiredTokenError


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header, and of `authorizationToken`, without "Basic"."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _mac(secret_key: str, said: bytes) -> bytes:
    return hmac.new(secret_key.encode(), said, hashlib.sha256).digest()
