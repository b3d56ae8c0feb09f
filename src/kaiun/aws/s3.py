"""Amazon S3: whole objects and conditional writes, listings, deletion in batches, buckets.

Many files at once: kaiun.aws.upload.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from kaiun.aws.caller import Answer, Caller, batches, each
from kaiun.aws.types import Described, Listed, Request, StoredObject
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from datetime import datetime

ABSENT = {"NoSuchKey", "404", "NotFound"}
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
DELETED_A_CALL = 1000
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

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "") -> None:
        described = {"ContentType": content_type} if content_type else {}
        self._call("put_object", bucket, key, Body=body, **described)

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
        return [found.key for found in self.objects(bucket, prefix)]

    def objects(self, bucket: str, prefix: str, *, flat: bool = False) -> tuple[Listed, ...]:
        """Return the objects whose keys begin with `prefix`, in order, 1000 a call.

        `flat`: only those without a further `/` in their keys.
        """
        params = {"Bucket": bucket, "Prefix": prefix} | ({"Delimiter": "/"} if flat else {})
        where = f"s3://{bucket}/{prefix}"
        pages = self._caller.pages("s3", "list_objects_v2", params, where=where)
        found = [item for page in pages for item in cast("list[Answer]", page.get("Contents", []))]
        return tuple(_listed(item) for item in found)

    def describe(self, bucket: str, key: str) -> Described | None:
        """Return size and checksums of an object, None when there is none under this key."""
        try:
            answer = self._call("head_object", bucket, key, ChecksumMode="ENABLED")
        except AwsError as error:
            if error.code in ABSENT:
                return None
            raise
        size, etag = cast("int", answer["ContentLength"]), str(answer["ETag"]).strip('"')
        return Described(size, etag, _hex(str(answer.get("ChecksumSHA256", ""))))

    def delete_all(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, 1000 a call; those that do not exist are as good as deleted."""
        each(lambda some: self._delete(bucket, some), batches(keys, DELETED_A_CALL))

    def _delete(self, bucket: str, keys: Sequence[str]) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        params = {"Bucket": bucket, "Delete": wanted}
        answer = self._caller.call("s3", "delete_objects", params, where=f"s3://{bucket}")
        failed = cast("list[Mapping[str, str]]", answer.get("Errors", []))
        if failed:
            first = failed[0]
            raise AwsError(
                f"{len(failed)} of {len(keys)} objects could not be deleted:"
                f" {first.get('Message') or first.get('Code')}",
                code=first.get("Code", ""),
                where=f"s3:DeleteObject s3://{bucket}/{first.get('Key')}",
            )

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

    def set_policy(self, bucket: str, policy: Request) -> None:
        params = {"Bucket": bucket, "Policy": json.dumps(policy)}
        self._caller.call("s3", "put_bucket_policy", params, where=f"s3://{bucket}")

    def set_cors(self, bucket: str, rules: Sequence[Request]) -> None:
        params = {"Bucket": bucket, "CORSConfiguration": {"CORSRules": list(rules)}}
        self._caller.call("s3", "put_bucket_cors", params, where=f"s3://{bucket}")

    def _call(self, operation: str, bucket: str, key: str, **params: object) -> Answer:
        wanted = {"Bucket": bucket, "Key": key, **params}
        return self._caller.call("s3", operation, wanted, where=f"s3://{bucket}/{key}")


def _listed(item: Answer) -> Listed:
    modified = cast("datetime", item["LastModified"]).timestamp()
    size, etag = cast("int", item["Size"]), str(item["ETag"]).strip('"')
    return Listed(str(item["Key"]), size, etag, modified)


def _hex(encoded: str) -> str:
    """Return a checksum as S3 writes it (Base64) in hexadecimal digits."""
    return base64.b64decode(encoded.partition("-")[0]).hex()
