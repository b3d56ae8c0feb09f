"""Ask a registry about images over HTTP.

Source: OCI distribution specification 1.1 (manifests, tags, blobs); distribution's docs/spec/auth
for the bearer token flow.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from kaiun.errors import ImageError
from kaiun.image import transport
from kaiun.image.credentials import Credentials, docker_config
from kaiun.image.reference import DIGEST, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.image.credentials import CredentialSource
    from kaiun.image.reference import Reference

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PART_BYTES = 1 << 20
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')


class Sender(Protocol):
    """What sends one request: transport.Transport, or another in its place."""

    def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse: ...


class Registry:
    """The registries that images name; safe to share between threads.

    Tokens are kept for the life of the object, per repository and action.
    """

    def __init__(
        self, credentials: CredentialSource | None = None, send: Sender | None = None
    ) -> None:
        self._credentials = credentials or docker_config()
        self._send = send or transport.Transport()
        self._authorizations: dict[tuple[str, str, str], str] = {}
        self._lock = threading.Lock()

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
            found += cast("list[str]", _json(answer, reference).get("tags") or [])
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
        image = _decoded(self.blob(reference, config["digest"]), reference)
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
            _require_whole(answer.data, name, reference)
        return _json(answer, reference)

    def blob(self, reference: Reference, digest: str) -> bytes:
        """Return a small blob. Raises ImageError when it is missing or not what its digest says."""
        answer = self.call("GET", reference, f"/blobs/{digest}")
        expect(answer, reference, 200)
        _require_whole(answer.data, digest, reference)
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
        _require_digest(f"sha256:{seen.hexdigest()}", digest, reference)

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
        key = (reference.registry, reference.path, action)
        with self._lock:
            known = self._authorizations.get(key) if ours else None
        given = {**_headers(known), **(headers or {})}
        answer = self._send(method, url, given, body, stream=stream)
        if answer.status != 401 or not ours:
            return answer
        authorization = self._authorize(answer, reference, action)
        if authorization is None:
            return answer
        answer.drain_conn()
        with self._lock:
            self._authorizations[key] = authorization
        given = {**_headers(authorization), **(headers or {})}
        return self._send(method, url, given, body, stream=stream)

    def _authorize(
        self, refusal: urllib3.BaseHTTPResponse, reference: Reference, action: str
    ) -> str | None:
        """Answer a challenge: return an Authorization header, None when we are nobody there."""
        credentials = self._credentials(reference.registry)
        scheme, _, rest = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "bearer":
            fields = dict(_CHALLENGE.findall(rest))
            scope = f"repository:{reference.path}:{action}"
            return self._token(reference, fields, scope, credentials)
        return credentials.basic() if credentials and credentials.username else None

    def _token(
        self,
        reference: Reference,
        fields: Mapping[str, str],
        scope: str,
        credentials: Credentials | None,
    ) -> str:
        realm = fields.get("realm", "")
        _require_safe(realm, reference)
        query = {"service": fields.get("service", ""), "scope": scope}
        if credentials and credentials.identity_token:
            answer = self._refresh(realm, query, credentials.identity_token)
        else:
            headers = {"Authorization": credentials.basic()} if credentials else {}
            answer = self._send("GET", f"{realm}?{urlencode(query)}", headers)
        expect(answer, reference, 200)
        granted = _json(answer, reference)
        return f"Bearer {granted.get('token') or granted.get('access_token', '')}"

    def _refresh(
        self, realm: str, query: Mapping[str, str], token: str
    ) -> urllib3.BaseHTTPResponse:
        form = {
            **query,
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "kaiun",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", realm, headers, urlencode(form).encode())


def _headers(authorization: str | None) -> dict[str, str]:
    return {"Accept": ACCEPT} | ({"Authorization": authorization} if authorization else {})


def _require_safe(realm: str, reference: Reference) -> None:
    parts = urlsplit(realm)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc)):
        return
    raise ImageError(
        f"the registry wants its password sent to {realm or 'nowhere'}, which is not encrypted",
        where=reference.registry,
        hint="the registry's token realm must be https",
    )


def _json(answer: urllib3.BaseHTTPResponse, reference: Reference) -> dict[str, Any]:
    return _decoded(answer.data, reference)


def _decoded(data: bytes, reference: Reference) -> dict[str, Any]:
    try:
        loaded = json.loads(data)
    except ValueError:
        loaded = None
    if isinstance(loaded, dict):
        return loaded
    raise ImageError("the registry's answer is not JSON", where=reference.registry)


def _require_whole(data: bytes, digest: str, reference: Reference) -> None:
    _require_digest(f"sha256:{hashlib.sha256(data).hexdigest()}", digest, reference)


def _require_digest(found: str, digest: str, reference: Reference) -> None:
    if found != digest:
        raise ImageError(
            f"what the registry has is not what its digest {digest[:19]}… says",
            where=f"{reference.registry}/{reference.path}",
            hint="the registry's storage is damaged, or a proxy changes what it gives",
        )


def _next_page(answer: urllib3.BaseHTTPResponse, path: str) -> str:
    linked = re.match(r'<([^>]+)>;\s*rel="?next"?', answer.headers.get("Link", ""))
    if not linked:
        return ""
    query = urlsplit(urljoin(path, linked[1])).query
    return f"/tags/list?{query}"


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
