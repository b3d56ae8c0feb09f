"""Upload many files to S3 side by side; what S3 has afterwards is what was sent.

Each file is one PutObject with its SHA-256: S3 refuses what it did not receive whole, and an object
is there whole or not at all. What the answer says of it (checksum, or ETag, which is the MD5 where
S3 does not encrypt with KMS) is compared once more, for not everything that speaks S3 checks. A
failed attempt is repeated by botocore, a few times and never for long; the first file that fails
for good ends the upload.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kaiun.aws.caller import S3_PARALLEL
from kaiun.aws.s3 import LOST
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.caller import Answer, Caller
    from kaiun.aws.s3 import S3

IN_MEMORY = 8 * 1024 * 1024  # bytes; larger files are read as they are sent
TURNS = 3  # of a file that somebody else writes at the same moment
NOT_MD5 = {"aws:kms", "aws:kms:dsse"}  # where S3 encrypts so, an ETag says nothing of the content


@dataclass(frozen=True, slots=True)
class Upload:
    """One file and what S3 shall know of it. `once`: never overwrite what is there."""

    key: str
    file: Path
    size: int  # bytes
    sha256: str  # 64 hexadecimal digits
    content_type: str
    cache_control: str
    encoding: str = ""  # Content-Encoding
    once: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was read once: what it holds, by size and checksums."""

    size: int
    sha256: str
    md5: str


class Uploader:
    """Uploads to one bucket. Raises AwsError."""

    def __init__(self, caller: Caller, s3: S3, bucket: str) -> None:
        self._caller = caller
        self._s3 = s3
        self._bucket = bucket

    def upload(self, uploads: Sequence[Upload], done: Callable[[Upload], None]) -> None:
        """Upload all, telling each that is done; the first error ends it.

        Uploads under way are waited for, so that none of them arrives later.
        """
        if not uploads:
            return
        with ThreadPoolExecutor(min(S3_PARALLEL, len(uploads)), "upload") as pool:
            futures = {pool.submit(self._one, upload): upload for upload in uploads}
            try:
                for future in as_completed(futures):
                    future.result()
                    done(futures[future])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, upload: Upload) -> None:
        with _opened(upload.file) as body:
            content = read(body)
            if (content.size, content.sha256) != (upload.size, upload.sha256):
                raise AwsError("the file is not what it was said to be", where=str(upload.file))
            answer = self._write(upload, body)
        if answer is None:
            self._require_same(upload, content)
        else:
            self._require_whole(upload, content, answer)

    def _write(self, upload: Upload, body: IO[bytes]) -> Answer | None:
        """Return S3's answer; None where an object that must not be overwritten is there.

        It is there when another deploy was faster, or when an earlier answer got lost. While the
        other is still writing S3 says no, too: then our turn comes.
        """
        for _ in range(TURNS):
            body.seek(0)
            try:
                return self._put(upload, body)
            except AwsError as problem:
                if not upload.once or problem.code not in LOST:
                    raise
                if self._s3.describe(self._bucket, upload.key):
                    break
        return None

    def _put(self, upload: Upload, body: IO[bytes]) -> Answer:
        checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        params: dict[str, object] = {
            "Bucket": self._bucket,
            "Key": upload.key,
            "Body": body.getvalue() if isinstance(body, io.BytesIO) else body,
            "ContentType": upload.content_type,
            "CacheControl": upload.cache_control,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": checksum,
        }
        if upload.encoding:
            params["ContentEncoding"] = upload.encoding
        if upload.once:
            params["IfNoneMatch"] = "*"
        return self._caller.call("s3", "put_object", params, where=self._url(upload))

    def _require_whole(self, upload: Upload, content: Content, answer: Answer) -> None:
        """Compare what the answer to PutObject says; ask where it says nothing."""
        etag = str(answer.get("ETag", "")).strip('"')
        if answer.get("ServerSideEncryption") in NOT_MD5 or not etag:
            self._require_same(upload, content)
        elif etag != content.md5:
            with suppress(AwsError):  # S3 itself would have refused it: what we wrote must not stay
                self._s3.delete(self._bucket, upload.key)
            raise self._damaged(upload)

    def _require_same(self, upload: Upload, content: Content) -> None:
        found = self._s3.describe(self._bucket, upload.key)
        if found is None or found.size != content.size:
            raise self._damaged(upload)
        if content.sha256 != found.sha256 and content.md5 != found.etag:
            raise self._damaged(upload)

    def _damaged(self, upload: Upload) -> AwsError:
        return AwsError(
            "what S3 has is not what was sent",
            code="BadDigest",
            where=f"s3:PutObject {self._url(upload)}",
            hint="try again; what is whole is not sent twice",
        )

    def _url(self, upload: Upload) -> str:
        return f"s3://{self._bucket}/{upload.key}"


def read(body: IO[bytes]) -> Content:
    """Read a file to its end."""
    size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while block := body.read(1024 * 1024):
        size += len(block)
        sha256.update(block)
        md5.update(block)
    return Content(size, sha256.hexdigest(), md5.hexdigest())


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; a small one is held in memory, which spares botocore's `Expect:` round."""
    try:
        small = path.stat().st_size <= IN_MEMORY
        body: IO[bytes] = io.BytesIO(path.read_bytes()) if small else path.open("rb")
    except OSError as problem:
        raise AwsError(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    with body:
        yield body
