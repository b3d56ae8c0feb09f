"""A stand-in for kaiun.aws at its typed boundary: an S3 with conditional writes."""

from __future__ import annotations

from typing import cast

from kaiun.aws.s3 import S3
from kaiun.aws.types import StoredObject
from kaiun.errors import AwsError


class MemoryS3:
    """Buckets in a dict; the calls are noted."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, StoredObject]] = {name: {} for name in buckets}
        self.calls: list[str] = []
        self._version = 0

    def as_s3(self) -> S3:
        return cast("S3", self)

    def get(self, bucket: str, key: str) -> StoredObject | None:
        return self._bucket(bucket, "get").get(key)

    def put(self, bucket: str, key: str, body: bytes) -> None:
        found = self._bucket(bucket, "put")
        self._version += 1
        found[key] = StoredObject(body, f'"{self._version}"')

    def put_if_absent(self, bucket: str, key: str, body: bytes) -> bool:
        if key in self._bucket(bucket, "put_if_absent"):
            return False
        self.put(bucket, key, body)
        return True

    def put_if_match(self, bucket: str, key: str, body: bytes, etag: str) -> bool:
        found = self._bucket(bucket, "put_if_match").get(key)
        if found is None or found.etag != etag:
            return False
        self.put(bucket, key, body)
        return True

    def delete(self, bucket: str, key: str) -> None:
        self._bucket(bucket, "delete").pop(key, None)

    def list(self, bucket: str, prefix: str) -> list[str]:
        return sorted(k for k in self._bucket(bucket, "list") if k.startswith(prefix))

    def create_bucket(self, bucket: str) -> None:
        self.calls.append("create_bucket")
        self.buckets.setdefault(bucket, {})

    def _bucket(self, bucket: str, call: str) -> dict[str, StoredObject]:
        self.calls.append(call)
        if bucket not in self.buckets:
            raise AwsError("no such bucket", code="NoSuchBucket")
        return self.buckets[bucket]
