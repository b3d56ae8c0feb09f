"""The state bucket of one environment: s3://BUCKET/PREFIX/kaiun/APP/ENVIRONMENT/…"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.s3 import S3
    from kaiun.aws.types import StoredObject
    from kaiun.config import Config


@dataclass(frozen=True, slots=True)
class State:
    """Objects by their key below the environment's prefix. `provision` makes a missing bucket."""

    s3: S3
    bucket: str
    prefix: str
    provision: bool = False

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def get(self, key: str) -> StoredObject | None:
        """Return an object; a bucket that is not there yet is empty where we may make it."""
        try:
            return self.s3.get(self.bucket, self.prefix + key)
        except AwsError as problem:
            if problem.code == "NoSuchBucket" and self.provision:
                return None
            raise

    def put(self, key: str, body: bytes) -> None:
        self.s3.put(self.bucket, self.prefix + key, body)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Write unless the key is taken; the bucket is made first where it is missing."""
        try:
            return self.s3.put_if_absent(self.bucket, self.prefix + key, body)
        except AwsError as problem:
            if problem.code != "NoSuchBucket" or not self.provision:
                raise
        self.s3.create_bucket(self.bucket)
        return self.s3.put_if_absent(self.bucket, self.prefix + key, body)

    def put_if_match(self, key: str, body: bytes, etag: str) -> bool:
        return self.s3.put_if_match(self.bucket, self.prefix + key, body, etag)

    def delete(self, key: str) -> None:
        self.s3.delete(self.bucket, self.prefix + key)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in order, without the environment's own."""
        try:
            found = self.s3.list(self.bucket, self.prefix + prefix)
        except AwsError as problem:
            if problem.code == "NoSuchBucket" and self.provision:
                return []
            raise
        return [key.removeprefix(self.prefix) for key in found]


def state_of(config: Config, s3: S3) -> State | None:
    """Return where history and lock of an environment are kept, None when nowhere."""
    if config.state is None:
        return None
    parts = urlsplit(config.state)
    inside = parts.path.strip("/")
    prefix = f"{inside}/" if inside else ""
    own = f"{prefix}kaiun/{config.app}/{config.environment}/"
    return State(s3, parts.netloc, own, provision=config.provision)
