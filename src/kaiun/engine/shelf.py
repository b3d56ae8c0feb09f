"""Put the side services' buckets on disk when they stop, and back when they start again.

Through S3's own API: every bucket with its policy and CORS configuration, and of every object its
content and the headers that describe it. Versions, tags and the time of the last change are not
kept.
"""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree

from kaiun.errors import EngineError

_INDEX: Final = "index.json"
_SETTINGS: Final = "settings.json"
_TIMEOUT_S: Final = 60.0
_SUBRESOURCES: Final = ("policy", "cors")
_KEPT: Final = frozenset(
    ("content-type", "content-encoding", "content-language", "content-disposition",
     "cache-control", "expires")
)  # fmt: skip
# the side services do not check it, but route by it
_SIGNED: Final = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=kaiun/20200101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class Shelf:
    """The buckets of the S3 that listens on loopback at `port`, and `folder`."""

    def __init__(self, port: int, folder: Path) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        self._folder = folder

    def close(self) -> None:
        self._connection.close()

    def store(self) -> None:
        """Write all buckets; what was on the shelf stays until that is done.

        Raises EngineError or OSError.
        """
        scratch = self._folder.with_name(self._folder.name + ".new")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        buckets = self._buckets()
        index = {bucket: list(self._store(bucket, scratch)) for bucket in buckets}
        (scratch / _INDEX).write_text(json.dumps(index))
        settings = {bucket: self._settings(bucket) for bucket in buckets}
        (scratch / _SETTINGS).write_text(json.dumps(settings))
        shutil.rmtree(self._folder, ignore_errors=True)
        scratch.rename(self._folder)

    def restore(self) -> None:
        """Make the buckets and objects that are on the shelf. Raises EngineError or OSError."""
        settings = self._read(_SETTINGS)
        for bucket, objects in self._read(_INDEX).items():
            self._ask("PUT", f"/{bucket}")
            for name, text in settings.get(bucket, {}).items():
                self._ask("PUT", f"/{bucket}?{name}", text.encode())
            for kept in objects:
                body = (self._folder / kept["file"]).read_bytes()
                self._ask("PUT", f"/{bucket}/{quote(kept['key'])}", body, kept["headers"])

    def _read(self, name: str) -> dict[str, Any]:
        path = self._folder / name
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _settings(self, bucket: str) -> dict[str, str]:
        """Return what a bucket has of the subresources that are kept, as S3 gives them."""
        return {
            name: text.decode()
            for name in _SUBRESOURCES
            if (text := self._ask("GET", f"/{bucket}?{name}", may_miss=True)[1])
        }

    def _buckets(self) -> list[str]:
        _, text = self._ask("GET", "/")
        return [name.text or "" for name in ElementTree.fromstring(text).iterfind(".//{*}Name")]  # noqa: S314

    def _store(self, bucket: str, scratch: Path) -> Iterator[dict[str, Any]]:
        for number, key in enumerate(self._keys(bucket)):
            headers, body = self._ask("GET", f"/{bucket}/{quote(key)}")
            file = f"{bucket}.{number}"
            (scratch / file).write_bytes(body)
            yield {"key": key, "file": file, "headers": headers}

    def _keys(self, bucket: str) -> Iterator[str]:
        token = ""
        while True:
            _, text = self._ask("GET", f"/{bucket}?list-type=2{token}")
            page = ElementTree.fromstring(text)  # noqa: S314  (our own moto's)
            yield from (key.text or "" for key in page.iterfind(".//{*}Contents/{*}Key"))
            following = page.findtext("{*}NextContinuationToken")
            if not following:
                return
            token = f"&continuation-token={quote(following, safe='')}"

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        *,
        may_miss: bool = False,
    ) -> tuple[dict[str, str], bytes]:
        """Return the describing headers and the body of the answer, b"" for what is not there."""
        self._connection.request(method, path, body, {**_SIGNED, **headers})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status == http.client.NOT_FOUND and may_miss:
            return {}, b""
        if answer.status not in (http.client.OK, http.client.NO_CONTENT):
            raise EngineError(f"{method} {path} was answered with {answer.status}", where="S3")
        found = {name.lower(): value for name, value in answer.getheaders()}
        kept = {n: v for n, v in found.items() if n in _KEPT or n.startswith("x-amz-meta-")}
        return kept, content
