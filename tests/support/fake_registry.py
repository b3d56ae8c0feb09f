"""A registry at the wire: it answers what the test tells it to and remembers what it was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


@dataclass
class FakeRegistry:
    """`auth` is "none", "basic" or "bearer"; `failures` are statuses to give before any answer."""

    auth: str = "none"
    user: str = "ann"
    password: str = "open sesame"
    refresh_token: str = ""
    realm: str = ""  # of the bearer challenge, by default this server's /token
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)
    bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    failures: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    token: str = "good-token"
    token_key: str = "token"
    page: int = 2
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, document: dict[str, object], tag: str = "") -> str:
        """Keep a manifest under its digest and a tag; return the digest."""
        body = json.dumps(document).encode()
        digest = digest_of(body)
        self.bodies[name, digest] = body
        if tag:
            self.bodies[name, tag] = body
        return digest

    def put_blob(self, name: str, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[name, digest] = data
        return digest

    @contextmanager
    def serving(self) -> Iterator[FakeRegistry]:
        handler = type("Handler", (_Handler,), {"registry": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.data = self.rfile.read(length)
        body = self.data.decode("utf-8", "replace")
        self.registry.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        if self.path.startswith("/token"):
            self._give_token(body)
        elif self.registry.failures:
            status, headers = self.registry.failures.popleft()
            self._answer(status, headers)
        elif not self._authorized():
            self._answer(401, {"WWW-Authenticate": self._challenge()})
        else:
            self._answer_v2()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _answer_v2(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/v2/")
        if path.endswith("/tags/list"):
            self._list(path.removesuffix("/tags/list"))
            return
        if "/blobs/uploads/" in path:
            self._take(*path.split("/blobs/uploads/"))
            return
        if "/blobs/" in path:
            name, _, digest = path.partition("/blobs/")
            blob = self.registry.blobs.get((name, digest))
            self._answer(404) if blob is None else self._answer(200, {}, blob)
            return
        name, _, reference = path.partition("/manifests/")
        key = (name, reference)
        if self.command == "PUT":
            self.registry.bodies[name, digest_of(self.data)] = self.data
            self.registry.bodies[key] = self.data
            self._answer(201)
        elif self.command == "DELETE":
            self._answer(202 if self.registry.manifests.pop(key, None) else 404)
        elif key in self.registry.manifests:
            digest = self.registry.manifests[key]
            self._answer(200, {"Docker-Content-Digest": digest, "Content-Type": MANIFEST})
        elif key in self.registry.bodies:
            self._answer(200, {"Content-Type": MANIFEST}, self.registry.bodies[key])
        else:
            self._answer(404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    def _take(self, name: str, upload: str) -> None:
        """One request of an upload: begun by POST, continued by PATCH, ended by PUT."""
        uploads = self.registry.uploads
        if self.command == "POST":
            upload = f"upload-{len(self.registry.asked)}"
            uploads[upload] = b""
        elif upload not in uploads:
            self._answer(404)
            return
        uploads[upload] += self.data
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        if self.command != "PUT":
            self._answer(202, {"Location": f"/v2/{name}/blobs/uploads/{upload}?_state=s"})
        elif digest_of(uploads[upload]) != digest:
            self._answer(400, {}, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        else:
            self.registry.put_blob(name, uploads.pop(upload))
            self._answer(201)

    def _list(self, name: str) -> None:
        tags, page = self.registry.tags.get(name), self.registry.page
        if tags is None:
            self._answer(404)
            return
        after = parse_qs(urlsplit(self.path).query).get("last", [""])[0]
        start = tags.index(after) + 1 if after else 0
        shown = tags[start : start + page]
        more = start + page < len(tags)
        link = {"Link": f'</v2/{name}/tags/list?n={page}&last={shown[-1]}>; rel="next"'}
        self._answer(200, link if more else {}, json.dumps({"name": name, "tags": shown}).encode())

    def _authorized(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.registry.auth == "basic":
            return given == self._basic()
        return self.registry.auth == "none" or given == f"Bearer {self.registry.token}"

    def _challenge(self) -> str:
        if self.registry.auth == "basic":
            return 'Basic realm="registry"'
        realm = self.registry.realm or f"http://{self.registry.host}/token"
        return f'Bearer realm="{realm}",service="registry.test",scope="repository:shop:pull"'

    def _give_token(self, body: str) -> None:
        refreshed = parse_qs(body).get("refresh_token", [""])[0]
        known = self.headers.get("Authorization") == self._basic() or (
            refreshed != "" and refreshed == self.registry.refresh_token
        )
        granted = json.dumps({self.registry.token_key: self.registry.token}).encode()
        self._answer(200 if known else 401, {}, granted if known else b"{}")

    def _basic(self) -> str:
        pair = f"{self.registry.user}:{self.registry.password}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
