"""What a registry answered: the status that was expected, whole, in JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kaiun.errors import ImageError
from kaiun.image import transport

if TYPE_CHECKING:
    import urllib3

    from kaiun.image.reference import Reference


def expect(answer: urllib3.BaseHTTPResponse, reference: Reference, *statuses: int) -> None:
    """Raise ImageError with the registry's own words unless the status is one of those."""
    if answer.status in statuses:
        return
    name = f"{reference.registry}/{reference.path}"
    if answer.status in {401, 403}:
        raise ImageError(
            f"the registry refused the credentials ({answer.status})",
            where=name,
            hint=f"docker login {reference.registry}",
        )
    raise ImageError(
        f"the registry answered {answer.status} {answer.reason or ''}".rstrip(),
        where=name,
        hint="try again" if answer.status in transport.RETRIED else "",
        detail=answer.data.decode("utf-8", "replace").splitlines()[:5],
    )


def decode(data: bytes, reference: Reference) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises ImageError."""
    try:
        loaded = json.loads(data)
    except ValueError:
        loaded = None
    if isinstance(loaded, dict):
        return loaded
    raise ImageError("the registry's answer is not JSON", where=reference.registry)


def require_whole(data: bytes, digest: str, reference: Reference) -> None:
    """Raise ImageError unless the data are what their digest says."""
    require_digest(f"sha256:{hashlib.sha256(data).hexdigest()}", digest, reference)


def require_digest(found: str, digest: str, reference: Reference) -> None:
    """Raise ImageError unless what came has the digest by which it was asked for."""
    if found != digest:
        raise ImageError(
            f"what the registry has is not what its digest {digest[:19]}… says",
            where=f"{reference.registry}/{reference.path}",
            hint="the registry's storage is damaged, or a proxy changes what it gives",
        )
