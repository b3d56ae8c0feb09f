"""An S3 at the wire that can fail: answers 500, is slow, loses what it was sent, hangs up.

Knows whole objects, conditional writes, checksums, listings and deletion, by path-style addresses
and without looking at signatures. `fault` is asked at each request and may name what goes wrong.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from kaiun.aws.caller import Caller, Endpoint
from kaiun.aws.client import Aws
from support.fake_aws import SESSION, serving, url_of

PAGE = 1000
SLOW_S = 0.2


class Fault(StrEnum):
    """What goes wrong with one request."""

    ERROR = "answers 500"
    SLOW = "takes its time"
    HANG_UP = "closes the connection without an answer"
    LOSE_ANSWER = "does what it was asked, then closes the connection"
    TRUNCATE = "keeps a part of the body and says that all is well"
    DENY = "says AccessDenied"


@dataclass(frozen=True, slots=True)
class Object:
    body: bytes
    headers: dict[str, str]
    etag: str
    modified: float = field(default_factory=time.time)  # seconds since the epoch


@dataclass
class FakeS3:
    """`fault(method, key)` names what goes wrong. `kms`: ETags say nothing of the content."""

    url: str
    fault: Callable[[str, str], Fault | None] = lambda _method, _key: None
    kms: bool = False
    buckets: dict[str, dict[str, Object]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)  # (method, path with query)

    def aws(self, read_timeout_s: float = 5.0) -> Aws:
        """Return a connection to this S3, as to a local ECS."""
        endpoint = Endpoint("us-east-1", self.url, "AKIDEXAMPLE", "secret")
        return Aws(Caller(endpoint, session=SESSION, read_timeout_s=read_timeout_s))

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests of this method had `part` in their path."""
        return sum(m == method and part in path for m, path in self.requests)

    def bodies(self, bucket: str) -> dict[str, bytes]:
        return {key: found.body for key, found in self.buckets[bucket].items()}


@contextmanager
def fake_s3(*buckets: str) -> Iterator[FakeS3]:
    """Serve on a free port of the loopback."""
    with serving(_Handler) as server:
        fake = FakeS3(url_of(server), buckets={bucket: {} for bucket in buckets})
        vars(server).update(fake=fake, lock=threading.Lock())
        yield fake


def first(times: int, fault: Fault, method: str = "PUT") -> Callable[[str, str], Fault | None]:
    """Return a fault of the first `times` requests for each key."""
    seen: Counter[str] = Counter()

    def of(asked: str, key: str) -> Fault | None:
        if asked != method:
            return None
        seen[key] += 1
        return fault if seen[key] <= times else None

    return of


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        served = vars(self.server)
        fake: FakeS3 = served["fake"]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        with served["lock"]:
            fake.requests.append((self.command, self.path))
            fault = fake.fault(self.command, key)
        if fault is Fault.SLOW:
            time.sleep(SLOW_S)
        if fault is Fault.TRUNCATE:
            body = body[: len(body) // 2]
        if fault is Fault.HANG_UP:
            self.close_connection = True
        elif fault is Fault.ERROR:
            self._refuse(500, "InternalError", "We encountered an internal error.")
        elif fault is Fault.DENY:
            self._refuse(403, "AccessDenied", "Access Denied")
        else:
            self._quiet = fault is Fault.LOSE_ANSWER
            self._checked = fault is not Fault.TRUNCATE
            with served["lock"]:
                self._answer(fake, bucket, key, body)

    def _answer(self, fake: FakeS3, bucket: str, key: str, body: bytes) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        objects = fake.buckets.get(bucket)
        if objects is None:
            self._refuse(404, "NoSuchBucket", "The specified bucket does not exist")
        elif self.command == "PUT":
            self._put(fake, objects, key, body)
        elif self.command == "POST" and "delete" in query:
            self._delete(objects, body)
        elif self.command == "DELETE":
            objects.pop(key, None)
            self._reply(204)
        elif not key:
            self._list(objects, query)
        elif key in objects:
            found = objects[key]
            self._reply(200, found.body, {**found.headers, "ETag": f'"{found.etag}"'})
        else:
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")

    def _put(self, fake: FakeS3, objects: dict[str, Object], key: str, body: bytes) -> None:
        if self.headers.get("If-None-Match") == "*" and key in objects:
            self._refuse(412, "PreconditionFailed", "At least one precondition did not hold")
            return
        if match := self.headers.get("If-Match"):
            if key not in objects:
                self._refuse(404, "NoSuchKey", "The specified key does not exist.")
                return
            if match.strip('"') != objects[key].etag:
                self._refuse(412, "PreconditionFailed", "At least one precondition did not hold")
                return
        told = self.headers.get("x-amz-checksum-sha256")
        real = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if self._checked and told and told != real:
            self._refuse(400, "BadDigest", "The SHA256 you specified did not match")
            return
        wanted = ("Content-Type", "Cache-Control", "Content-Encoding")
        headers = {name: self.headers[name] for name in wanted if name in self.headers}
        etag = hashlib.md5(body + (b"kms" if fake.kms else b"")).hexdigest()
        kms = {"x-amz-server-side-encryption": "aws:kms"} if fake.kms else {}
        checksum = {"x-amz-checksum-sha256": real} if told else {}
        objects[key] = Object(body, {**headers, **checksum, **kms}, etag)
        self._reply(200, b"", {"ETag": f'"{etag}"', **checksum, **kms})

    def _delete(self, objects: dict[str, Object], body: bytes) -> None:
        for element in ElementTree.fromstring(body).iterfind(".//{*}Key"):
            objects.pop(element.text or "", None)
        self._reply(200, b"<DeleteResult/>")

    def _list(self, objects: dict[str, Object], query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(k for k in objects if k.startswith(prefix) and k > after)
        if "delimiter" in query:
            keys = [key for key in keys if "/" not in key.removeprefix(prefix)]
        page, more = keys[:PAGE], len(keys) > PAGE
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key].body)}</Size>"
            f'<ETag>"{objects[key].etag}"</ETag>'
            f"<LastModified>{_stamp(objects[key].modified)}</LastModified></Contents>"
            for key in page
        )
        last = escape(page[-1]) if more else ""
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" * more
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        text = f"<ListBucketResult>{truncated}{token}{rows}</ListBucketResult>"
        self._reply(200, text.encode())

    def _refuse(self, status: int, code: str, message: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self._reply(status, text.encode())

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        if getattr(self, "_quiet", False):
            self._quiet = False
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
