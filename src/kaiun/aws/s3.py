"""Amazon S3, as far as the state bucket needs it: whole objects and conditional writes."""

from __future__ import annotations

from typing import Protocol, cast

from kaiun.aws.caller import Answer, Caller
from kaiun.aws.types import StoredObject
from kaiun.errors import AwsError

ABSENT = {"NoSuchKey", "404", "NotFound"}
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
OURS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


class Body(Protocol):
    def read(self) -> bytes: ...


class S3:
    """Every method raises AwsError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """Return the object, None when there is none under this key."""
        try:
            answer = self._call("get_object", bucket, key)
        except AwsError as error:
            if error.code in ABSENT:
                return None
            raise
        return StoredObject(cast("Body", answer["Body"]).read(), str(answer["ETag"]))

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._call("put_object", bucket, key, Body=body)

    def put_if_absent(self, bucket: str, key: str, body: bytes) -> bool:
        """Write the object unless the key is taken; return whether it was written."""
        return self._conditional(bucket, key, body, {"IfNoneMatch": "*"})

    def put_if_match(self, bucket: str, key: str, body: bytes, etag: str) -> bool:
        """Overwrite the object unless it changed since `etag`; return whether it was written."""
        return self._conditional(bucket, key, body, {"IfMatch": etag})

    def _conditional(self, bucket: str, key: str, body: bytes, condition: dict[str, str]) -> bool:
        try:
            self._call("put_object", bucket, key, Body=body, **condition)
        except AwsError as error:
            if error.code in LOST | ABSENT:
                return False
            raise
        return True

    def delete(self, bucket: str, key: str) -> None:
        self._call("delete_object", bucket, key)

    def list(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in order."""
        params = {"Bucket": bucket, "Prefix": prefix}
        where = f"s3://{bucket}/{prefix}"
        pages = self._caller.pages("s3", "list_objects_v2", params, where=where)
        found = [item for page in pages for item in cast("list[Answer]", page.get("Contents", []))]
        return [str(item["Key"]) for item in found]

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that is ours already is left as it is."""
        params: dict[str, object] = {"Bucket": bucket}
        region = self._caller.endpoint.region
        if region not in {None, "us-east-1"}:
            params["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self._caller.call("s3", "create_bucket", params, where=f"s3://{bucket}")
        except AwsError as error:
            if error.code not in OURS:
                raise

    def _call(self, operation: str, bucket: str, key: str, **params: object) -> Answer:
        wanted = {"Bucket": bucket, "Key": key, **params}
        return self._caller.call("s3", operation, wanted, where=f"s3://{bucket}/{key}")
