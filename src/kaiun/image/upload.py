"""Give a registry what docker does not push: blobs and manifests of our own.

Source: OCI distribution specification 1.1, "Pushing a blob in chunks", "Pushing manifests".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlencode, urljoin

from kaiun.image.answers import expect

if TYPE_CHECKING:
    import urllib3

    from kaiun.image.reference import Reference
    from kaiun.image.registry import Registry

_PUSH = "pull,push"
_PART_BYTES = 32 << 20
_LOST = frozenset({404, 416, 500, 502, 503, 504})  # an upload that the registry no longer knows


def put_blob(registry: Registry, reference: Reference, digest: str, data: BinaryIO) -> None:
    """Upload a blob unless the repository has it; large ones part by part.

    Begins anew, a few times, where the registry lost the upload in the middle. Raises ImageError.
    """
    for last in (False, False, True):
        if registry.blob_size(reference, digest) is not None:
            return
        data.seek(0)
        answer = _upload(registry, reference, digest, data)
        if answer.status == 201:
            return
        if last or answer.status not in _LOST:
            expect(answer, reference, 201)


def put_manifest(
    registry: Registry, reference: Reference, name: str, body: bytes, media_type: str
) -> str:
    """Upload a manifest under a tag; return its digest. Raises ImageError."""
    given = {"Content-Type": media_type}
    path = f"/manifests/{name}"
    answer = registry.call("PUT", reference, path, action=_PUSH, headers=given, body=body)
    expect(answer, reference, 201)
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _upload(
    registry: Registry, reference: Reference, digest: str, data: BinaryIO
) -> urllib3.BaseHTTPResponse:
    """Return the answer that ends the upload, or the first that is not as it should be."""
    answer = registry.call("POST", reference, "/blobs/uploads/", action=_PUSH)
    part, offset = data.read(_PART_BYTES), 0
    while answer.status == 202:
        following = data.read(_PART_BYTES)
        place = urljoin(reference.url, answer.headers.get("Location", ""))
        headers = {"Content-Type": "application/octet-stream"}
        if following:
            headers["Content-Range"] = f"{offset}-{offset + len(part) - 1}"
        else:
            place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        method = "PATCH" if following else "PUT"
        answer = registry.call(method, reference, place, action=_PUSH, headers=headers, body=part)
        if not following:
            return answer
        offset += len(part)
        part = following
    return answer
