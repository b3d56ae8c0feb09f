"""Ask a registry about images over HTTP.

Source: OCI distribution specification 1.1 (manifests, tags, blobs).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urljoin, urlsplit

import urllib3

from kaiun.errors import ImageError
from kaiun.image.answers import decode, expect, require_digest, require_whole
from kaiun.image.authorization import Authorizations
from kaiun.image.credentials import docker_config
from kaiun.image.reference import DIGEST
from kaiun.image.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.image.credentials import CredentialSource
    from kaiun.image.reference import Reference
    from kaiun.image.transport import Sender

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PART_BYTES = 1 << 20


class Registry:
    """The registries that images name; safe to share between threads.

    Tokens are kept for the life of the object, per repository and action.
    """

    def __init__(
        self, credentials: CredentialSource | None = None, send: Sender | None = None
    ) -> None:
        self._send = send or Transport()
        self._authorizations = Authorizations(credentials or docker_config(), self._send)

    def digest(self, reference: Reference, name: str = "") -> str | None:
        """Return the digest of the manifest that `name` (default: the tag) means there, or None.

        Raises ImageError when the registry cannot be asked or refuses.
        """
        wanted = name or reference.tag or "latest"
        path = f"/manifests/{wanted}"
        answer = self.call("HEAD", reference, path)
        if answer.status == 404:
            return None
        expect(answer, reference, 200)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if DIGEST.fullmatch(digest):
            return digest
        body = self.call("GET", reference, path)
        expect(body, reference, 200)
        return "sha256:" + hashlib.sha256(body.data).hexdigest()

    def tags(self, reference: Reference) -> list[str]:
        """Return all tags of the repository, [] when it does not exist."""
        found: list[str] = []
        path = "/tags/list?n=1000"
        while path:
            answer = self.call("GET", reference, path)
            if answer.status == 404:
                break
            expect(answer, reference, 200)
            found += cast("list[str]", decode(answer.data, reference).get("tags") or [])
            path = _next_page(answer, path)
        return found

    def labels(self, reference: Reference, digest: str) -> dict[str, str]:
        """Return the labels of an image, {} where it has none or is not there.

        Of an image for several platforms those of the first. Raises ImageError.
        """
        manifest = self.manifest(reference, digest)
        if manifest and isinstance(parts := manifest.get("manifests"), list) and parts:
            manifest = self.manifest(reference, parts[0]["digest"])
        config = manifest and manifest.get("config")
        if not isinstance(config, dict):
            return {}
        image = decode(self.blob(reference, config["digest"]), reference)
        labels = cast("dict[str, dict[str, str] | None]", image.get("config") or {}).get("Labels")
        return dict(labels or {})

    def manifest(self, reference: Reference, name: str) -> dict[str, Any] | None:
        """Return the manifest under a tag or digest, None where there is none.

        Raises ImageError, also when it is not what its digest says.
        """
        answer = self.call("GET", reference, f"/manifests/{name}")
        if answer.status == 404:
            return None
        expect(answer, reference, 200)
        if DIGEST.fullmatch(name):
            require_whole(answer.data, name, reference)
        return decode(answer.data, reference)

    def blob(self, reference: Reference, digest: str) -> bytes:
        """Return a small blob. Raises ImageError when it is missing or not what its digest says."""
        answer = self.call("GET", reference, f"/blobs/{digest}")
        expect(answer, reference, 200)
        require_whole(answer.data, digest, reference)
        return answer.data

    def blob_size(self, reference: Reference, digest: str) -> int | None:
        """Return the size of a blob in bytes, None where there is none. Raises ImageError."""
        answer = self.call("HEAD", reference, f"/blobs/{digest}")
        if answer.status == 404:
            return None
        expect(answer, reference, 200)
        return int(answer.headers.get("Content-Length") or -1)

    def download(self, reference: Reference, digest: str, into: BinaryIO) -> None:
        """Write a blob of any size to a file. Raises ImageError, also when it came out wrong."""
        answer = self.call("GET", reference, f"/blobs/{digest}", stream=True)
        expect(answer, reference, 200)
        seen = hashlib.sha256()
        try:
            for part in answer.stream(_PART_BYTES):
                seen.update(part)
                into.write(part)
        except urllib3.exceptions.HTTPError as problem:
            raise ImageError(
                "the registry stopped in the middle of an answer",
                where=f"{reference.registry}/{reference.path}",
                hint="try again",
            ) from problem
        require_digest(f"sha256:{seen.hexdigest()}", digest, reference)

    def delete(self, reference: Reference, digest: str) -> bool:
        """Delete a manifest with all its tags; return whether it was there.

        Raises ImageError also where the registry has deletion switched off (405).
        """
        answer = self.call("DELETE", reference, f"/manifests/{digest}", action="pull,delete")
        if answer.status == 404:
            return False
        expect(answer, reference, 202, 200)
        return True

    def call(
        self,
        method: str,
        reference: Reference,
        path: str,
        *,
        action: str = "pull",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request about a repository; `path` is below it, or a URL from the registry."""
        base = f"{reference.url}/v2/{reference.path}"
        url = path if "://" in path else base + path
        ours = urlsplit(url).netloc == urlsplit(base).netloc
        known = self._authorizations.known(reference, action) if ours else None
        given = {**_headers(known), **(headers or {})}
        answer = self._send(method, url, given, body, stream=stream)
        if answer.status != 401 or not ours:
            return answer
        authorization = self._authorizations.renew(answer, reference, action)
        if authorization is None:
            return answer
        answer.drain_conn()
        given = {**_headers(authorization), **(headers or {})}
        return self._send(method, url, given, body, stream=stream)


def _headers(authorization: str | None) -> dict[str, str]:
    return {"Accept": ACCEPT} | ({"Authorization": authorization} if authorization else {})


def _next_page(answer: urllib3.BaseHTTPResponse, path: str) -> str:
    linked = re.match(r'<([^>]+)>;\s*rel="?next"?', answer.headers.get("Link", ""))
    if not linked:
        return ""
    query = urlsplit(urljoin(path, linked[1])).query
    return f"/tags/list?{query}"
