"""Links by which whoever has one may read one layer for an hour, as ECR's point into S3."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs

LIFE_S: Final = 3600
_PARAMETERS: Final = ("expires", "signature")


def make(secret_key: str, name: str, digest: str, now: float) -> str:
    """Return path and query."""
    path, expires = f"/v2/{name}/blobs/{digest}", int(now) + LIFE_S
    return f"{path}?expires={expires}&signature={_sign(secret_key, path, expires)}"


def is_good(secret_key: str, path: str, query: str, now: float) -> bool:
    """Return whether such a link was made here, and is not too old."""
    found = parse_qs(query)
    if any(len(found.get(name, ())) != 1 for name in _PARAMETERS):
        return False
    expires, signature = (found[name][0] for name in _PARAMETERS)
    if not expires.isascii() or not expires.isdigit() or now >= int(expires):
        return False
    return hmac.compare_digest(signature.encode(), _sign(secret_key, path, int(expires)).encode())


def _sign(secret_key: str, path: str, expires: int) -> str:
    said = f"kaiun layer {expires} {path}".encode()
    return hmac.new(secret_key.encode(), said, hashlib.sha256).hexdigest()
