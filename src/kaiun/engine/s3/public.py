"""Objects that anybody may read: GET and HEAD without a signature, as a browser sends them.

Answered when the bucket's own policy allows s3:GetObject to everyone, else with AccessDenied, as
S3 does; a page of another origin may read them as far as the bucket's CORS configuration says.
Nothing else is reachable this way: subresources (`?acl`, `?policy`, …) are not, and what goes on
to the side services is made anew from bucket, key and a few headers.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote, unquote

from kaiun.engine.protocol.query import escape
from kaiun.engine.s3 import cors, policy

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NOT_BUCKETS: Final = frozenset(("moto-api",))  # the side services' own pages
_ASKED: Final = frozenset(
    (b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since",
     b"if-range")
)  # fmt: skip
_TOLD: Final = frozenset(
    (b"content-type", b"content-length", b"content-encoding", b"content-language",
     b"content-disposition", b"content-range", b"cache-control", b"expires", b"etag",
     b"last-modified", b"accept-ranges")
)  # fmt: skip
_SUBRESOURCES: Final = frozenset(
    ("acl", "attributes", "legal-hold", "partNumber", "retention", "select", "tagging", "torrent",
     "uploadId", "uploads", "versionId")
)  # fmt: skip
# the side services do not check the signature, but route by it; the bucket is not in the host
_FOR_S3: Final = (
    (b"host", b"127.0.0.1"),
    (
        b"authorization",
        b"AWS4-HMAC-SHA256 Credential=kaiun/20200101/us-east-1/s3/aws4_request, "
        b"SignedHeaders=host, Signature=0",
    ),
)


class Aside(Protocol):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request without a signature asks for."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a bucket says of itself; `exists` False: there is no such bucket."""

    exists: bool
    policy: str
    cors: tuple[cors.Rule, ...]

    def let_everyone(self, action: str, resource: str) -> bool:
        return policy.allows_everyone(self.policy, action, resource)


def wanted(scope: Scope, headers: dict[str, str]) -> Wanted | None:
    """Return the object that an unsigned request asks for, None when it is another request."""
    if scope["method"] not in ("GET", "HEAD", "OPTIONS") or "authorization" in headers:
        return None
    if "x-amz-target" in headers or b"Signature=" in scope["query_string"]:
        return None
    path = scope["raw_path"].decode("latin-1").removeprefix("/")
    if path.startswith("_kaiun/"):
        return None
    bucket = _bucket_of_host(headers.get("host", ""))
    if not bucket:
        bucket, _, path = path.partition("/")
    bucket, key = unquote(bucket), unquote(path)
    if not key or not _BUCKET.fullmatch(bucket) or bucket in _NOT_BUCKETS:
        return None
    return Wanted(bucket, key)


def _bucket_of_host(host: str) -> str:
    """Return the bucket of BUCKET.s3.localhost and BUCKET.localhost, "" when there is none."""
    name = host.rpartition(":")[0]
    if not name.endswith(".localhost"):
        return ""
    return name.removesuffix(".localhost").removesuffix(".s3")


class PublicObjects:
    """Answers what `wanted` found, through `aside`, the way to the side services."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._rules: dict[str, Rules] = {}
        self._changes = 0

    def forget(self) -> None:
        """Ask anew for policies and CORS configurations: a bucket may have changed."""
        self._changes += 1
        self._rules.clear()

    async def __call__(self, scope: Scope, asked: Wanted, send: Send) -> None:
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        rules = await self._rules_of(asked.bucket)
        page = cors.asked(scope["method"], headers)
        shared = cors.answer(rules.cors, page)
        if scope["method"] == "OPTIONS":
            await _preflight(send, page, shared)
        elif refusal := _refused(scope, asked, rules):
            await _reply(send, *refusal, shared)
        else:
            may_list = rules.let_everyone(policy.LIST_BUCKET, policy.arn(asked.bucket))
            answer = _Answer(send, shared or [], may_list=may_list)
            await self._aside(_read_of(scope, asked), _nothing, answer)

    async def _rules_of(self, bucket: str) -> Rules:
        if (known := self._rules.get(bucket)) is not None:
            return known
        began = self._changes
        status, text = await self._ask(bucket, b"policy")
        exists = status == 200 or b"<Code>NoSuchBucket</Code>" not in text
        shared = (await self._ask(bucket, b"cors"))[1] if exists else b""
        rules = Rules(exists, text.decode() if status == 200 else "", cors.read(shared))
        if began == self._changes and exists:
            self._rules[bucket] = rules
        return rules

    async def _ask(self, bucket: str, query: bytes) -> tuple[int, bytes]:
        told: list[Message] = []

        async def keep(message: Message) -> None:
            told.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": f"/{bucket}".encode(),
            "query_string": query,
            "headers": [*_FOR_S3],
        }
        await self._aside(scope, _nothing, keep)
        body = b"".join(m.get("body", b"") for m in told)
        return next(m["status"] for m in told if "status" in m), body


def _refused(scope: Scope, asked: Wanted, rules: Rules) -> tuple[int, str, str] | None:
    """Return why an object is not given, as S3 says it: status, code, message."""
    if not rules.exists:
        return 404, "NoSuchBucket", "The specified bucket does not exist"
    denied = 403, "AccessDenied", "Access Denied"
    names = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True)]
    if any(name.startswith("response-") for name in names):
        message = "Request specific response headers cannot be used for anonymous GET requests."
        return 400, "InvalidRequest", message
    if _SUBRESOURCES.intersection(names) or any(n.lower().startswith("x-amz-") for n in names):
        return denied
    if {".", ".."}.intersection(asked.key.split("/")):  # nobody shall make another path of it
        return denied
    allowed = rules.let_everyone(policy.GET_OBJECT, policy.arn(asked.bucket, asked.key))
    return None if allowed else denied


def _read_of(scope: Scope, asked: Wanted) -> Scope:
    """Return the request for the side services: nothing of the path as it came is left."""
    kept = [(name, value) for name, value in scope["headers"] if name in _ASKED]
    return {
        "type": "http",
        "method": scope["method"],
        "raw_path": f"/{asked.bucket}/{quote(asked.key)}".encode(),
        "query_string": b"",
        "headers": [*kept, *_FOR_S3],
    }


class _Answer:
    """Passes an answer on: headers that describe the object, and those of CORS."""

    def __init__(self, send: Send, shared: cors.Headers, *, may_list: bool) -> None:
        self._send = send
        self._shared = shared
        self._may_list = may_list
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] != "http.response.start":
            await self._send(message)
        elif message["status"] == 404 and not self._may_list:
            self._replaced = True  # who may not list a bucket does not learn what is not in it
            await _reply(self._send, 403, "AccessDenied", "Access Denied", self._shared)
        else:
            told = message["headers"]
            kept = [(n, v) for n, v in told if n in _TOLD or n.startswith(b"x-amz-meta-")]
            await self._send({**message, "headers": [*kept, *self._shared]})


async def _preflight(send: Send, page: cors.Asked | None, shared: cors.Headers | None) -> None:
    if page is None:
        message = "Insufficient information. Origin request header needed."
        await _reply(send, 400, "BadRequest", message, None)
    elif shared is None:
        message = (
            "CORSResponse: This CORS request is not allowed. This is usually because the "
            "evalution of Origin, request method / Access-Control-Request-Method or "
            "Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
        )
        await _reply(send, 403, "AccessForbidden", message, None)
    else:
        length = (b"content-length", b"0")
        start = {"type": "http.response.start", "status": 200, "headers": [*shared, length]}
        await send(start)
        await send({"type": "http.response.body", "body": b""})


async def _reply(
    send: Send, status: int, code: str, message: str, shared: cors.Headers | None
) -> None:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    ).encode()
    headers = [
        (b"content-type", b"application/xml"),
        (b"content-length", str(len(body)).encode()),
        *(shared or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
