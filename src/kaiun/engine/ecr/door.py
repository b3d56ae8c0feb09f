"""ECR as docker sees it: the registry of the engine, behind ECR's login and repositories.

It is at the port of the API, under /v2/, where no other API is: docker signs nothing. A request is
let through to the registry when its token is good, its repository exists, and it moves no tag that
is fixed; bodies are streamed both ways. Without a token there is nothing but links to one layer.

Sources: OCI distribution specification 1.1; what ECR itself answers, as clients report it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from kaiun.engine.ecr import links, token
from kaiun.engine.operations.ecr_common import no_repository, tell_image
from kaiun.engine.operations.repositories import is_fixed, tag_exists
from kaiun.engine.store import Doc
from kaiun.engine.world import World

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Aside = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_MANIFEST: Final = 4 * 1024 * 1024
_BASE: Final = "/v2/"
_PATH: Final = re.compile(
    r"/v2/(?P<name>[a-z0-9._/-]+?)/"
    r"(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>[^?]*)"
)
_VERSION: Final = (b"docker-distribution-api-version", b"registry/2.0")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the registry is not asked for."""

    status: int
    code: str
    message: str


_NO_TOKEN: Final = Refusal(401, "", "Not Authorized")
_EXPIRED: Final = Refusal(
    403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
)
_NO_REGISTRY: Final = Refusal(404, "UNSUPPORTED", "With imagined containers there is no registry.")
_UNKNOWN: Final = Refusal(404, "UNSUPPORTED", "ECR has no such address.")
_TOO_LARGE: Final = Refusal(413, "MANIFEST_INVALID", "A manifest has 4 MiB at most.")
_NOT_ALLOWED: Final = Refusal(405, "UNSUPPORTED", "Images are deleted by ECR's API.")


def wanted(scope: Scope, headers: dict[str, str]) -> bool:
    """Return whether a request is docker's: other APIs below /v2/ are signed, and objects of S3
    that are named so are asked for at the host of their bucket."""
    path: str = scope["path"]
    if headers["host"].rpartition(":")[0].endswith(".localhost"):
        return False
    if path != _BASE.rstrip("/") and not path.startswith(_BASE):
        return False
    is_signed = headers.get("authorization", "").startswith("AWS4") or (
        b"X-Amz-Signature=" in scope["query_string"]
    )
    return not is_signed and "x-amz-target" not in headers


class Door:
    """`registry` passes a request on to the engine's registry."""

    def __init__(self, world: World, registry: Aside) -> None:
        self._world = world
        self._registry = registry
        self._pushes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        refusal = self._refuse_stranger(scope, headers)
        if refusal is not None:
            await self._refuse(refusal, send)
        elif scope["path"].rstrip("/") + "/" == _BASE:
            await _reply(send, 200, b"{}")
        elif self._world.null_runtime:
            await self._refuse(_NO_REGISTRY, send)
        elif (found := _PATH.fullmatch(scope["path"])) is None:
            await self._refuse(_UNKNOWN, send)
        else:
            await self._enter(scope, found, receive, send)

    def _refuse_stranger(self, scope: Scope, headers: dict[str, str]) -> Refusal | None:
        secret, now = self._world.identity.secret_key, self._world.now()
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        if scope["method"] in ("GET", "HEAD") and links.is_good(secret, path, query, now):
            return None
        user, password = _login(headers.get("authorization", ""))
        try:
            token.check(secret, user, password, now)
        except token.InvalidTokenError:
            return _NO_TOKEN
        except token.ExpiredTokenError:
            return _EXPIRED
        return None

    async def _enter(
        self, scope: Scope, found: re.Match[str], receive: Receive, send: Send
    ) -> None:
        name, kind, rest = found["name"], found["kind"], found["rest"]
        repository = self._world.repositories.get(name)
        if repository is None:
            text = no_repository(name, self._world.identity.account)
            await self._refuse(Refusal(404, "NAME_UNKNOWN", text), send)
        elif scope["method"] == "DELETE" and kind != "blobs/uploads":
            await self._refuse(_NOT_ALLOWED, send)
        elif kind == "tags":
            await self._list_tags(scope, repository, send)
        elif kind == "manifests" and scope["method"] == "PUT":
            await self._push(scope, repository, rest, receive, send)
        elif kind == "manifests" and scope["method"] == "GET":
            await self._registry(scope, receive, self._noting_pull(repository, send))
        else:
            await self._registry(scope, receive, send)

    async def _push(
        self, scope: Scope, repository: Doc, reference: str, receive: Receive, send: Send
    ) -> None:
        """Put a manifest; two that want the same fixed tag come one after the other."""
        name = repository["repositoryName"]
        send = self._telling_push(name, reference, send)
        if ":" in reference or not is_fixed(repository, reference):
            await self._registry(scope, receive, send)
            return
        if (body := await _whole(receive)) is None:
            await self._refuse(_TOO_LARGE, send)
            return
        async with self._pushes[name]:
            if self._world.images.digest(name, reference) is not None:
                text = tag_exists(repository, reference)
                await self._refuse(Refusal(400, "TAG_INVALID", text), send)
                return
            await self._registry(scope, _again(body), send)

    def _telling_push(self, name: str, reference: str, send: Send) -> Send:
        """Return a `send` that has ECR's event sent once the registry has an image."""

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 201:
                digest = dict(message["headers"]).get(b"docker-content-digest", b"").decode()
                tag = None if ":" in reference else reference
                tell_image(self._world, name, "PUSH", digest, tag)
                self._world.store.commit()
            await send(message)

        return passing

    def _noting_pull(self, repository: Doc, send: Send) -> Send:
        """Return a `send` that notes when an image was pulled."""

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                told = dict(message["headers"]).get(b"docker-content-digest", b"").decode()
                world, name = self._world, repository["repositoryName"]
                if name in world.repositories and world.images.has(name, told):
                    repository["_"].setdefault("pulls", {})[told] = world.now()
                    world.repositories.touch(name)
                    world.store.commit()
            await send(message)

        return passing

    async def _list_tags(self, scope: Scope, repository: Doc, send: Send) -> None:
        name = repository["repositoryName"]
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        last, limit = asked.get("last", [""])[0], asked.get("n", [""])[0]
        tags = [tag for tag in sorted(self._world.images.tags(name)) if tag > last]
        part = tags[: int(limit)] if limit.isascii() and limit.isdigit() else tags
        more = []
        if part and len(part) < len(tags):
            following = urlencode({"last": part[-1], "n": limit})
            more.append((b"link", f'</v2/{name}/tags/list?{following}>; rel="next"'.encode()))
        await _reply(send, 200, json.dumps({"name": name, "tags": part}).encode(), *more)

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        if refusal is _NO_TOKEN:
            realm = f'Basic realm="http://{self._world.ecr_host}/",service="ecr.amazonaws.com"'
            challenge = (b"www-authenticate", realm.encode())
            await _reply(send, 401, b"Not Authorized\n", challenge, media=b"text/plain")
            return
        body = {"errors": [{"code": refusal.code, "message": refusal.message}]}
        await _reply(send, refusal.status, json.dumps(body).encode())


async def _whole(receive: Receive) -> bytes | None:
    """Return a manifest's body; None where it is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MAX_MANIFEST:
            return None
    return body


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _login(header: str) -> tuple[str, str]:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


async def _reply(
    send: Send,
    status: int,
    body: bytes,
    *more: tuple[bytes, bytes],
    media: bytes = b"application/json; charset=utf-8",
) -> None:
    length = (b"content-length", str(len(body)).encode())
    headers = [(b"content-type", media), length, _VERSION, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
