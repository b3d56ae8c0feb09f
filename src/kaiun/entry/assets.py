"""Put the asset manifest of this environment where the framework looks, and check that it is whole.

An item of the step is all that one environment needs:

    {"name": "first digits of the digest", "timeout": 30,
     "files": [["public/assets/.manifest.json", "/opt/kaiun/assets/…/.manifest.json", "sha256"]],
     "trees": [["/opt/kaiun/place/app/public/assets", "/opt/kaiun/assets/…/public/assets"]],
     "host": "https://assets.example.com", "bucket": "s3://bucket/prefix"}

`trees` are links to make, where the files themselves are in the image and environments differ. A
manifest that the image lacks, or has damaged, is taken from the bucket, where each deploy leaves
it: manifests/ENVIRONMENT/REVISION.json.
"""

from __future__ import annotations

import os
import sys

from kaiun.entry.failure import Failure
from kaiun.entry.steps import limited, stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context

# Without hashlib, whose OpenSSL takes milliseconds to load.
try:  # Python 3.12 and later
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found, no-redef, unused-ignore]

HOST = "ASSET_HOST"
REVISION = "REVISION"  # beside the program
MODE = 0o644


def step(items: list[Item], context: Context) -> None:
    """Put in place what this environment has; set ASSET_HOST unless it is set."""

    def take(item: Item) -> None:
        for link, target in item.get("trees", ()):
            _lead(link, target)
        for path, source, digest in item["files"]:
            _place(path, source, digest, item, context)
        if item.get("host") and not context.variables.environ.get(HOST):
            context.variables.environ[HOST] = item["host"]

    for item in items:
        limited(item, take)


def _lead(link: str, target: str) -> None:
    """Make the link lead to the target. Raises Failure."""
    try:
        if os.readlink(link) == target:
            return
    except OSError:
        pass
    fresh = f"{link}.kaiun-{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, fresh)
        os.rename(fresh, link)
    except OSError as problem:
        raise Failure(f"{link} cannot be made: {problem.strerror}{_advice(problem)}") from None


def _place(path: str, source: str, digest: str, item: Item, context: Context) -> None:
    """Make sure that a manifest of the framework is there, whole."""
    target = context.path(path)
    if _read(target, digest) is not None:
        return
    data = _read(source, digest)
    if data is None:
        data = _fetched(path, digest, item, context)
    staged = stage(target)
    staged.write(data)
    staged.dress(mode=MODE, owner="", like="", secret=False)
    staged.commit()


def _read(path: str, digest: str) -> bytes | None:
    """Return the content, None unless it has that SHA-256."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data if sha256(data).hexdigest() == digest else None


def _fetched(path: str, digest: str, item: Item, context: Context) -> bytes:
    """Return a manifest as the deploy of this very image left it in the bucket. Raises Failure."""
    missing = f"the image has no whole {path}"
    if not item.get("bucket"):
        raise Failure(f"{missing}, and no bucket has it: build it again")
    import json

    from kaiun.entry.fetch import aside, source

    with open(os.path.join(os.path.dirname(sys.argv[0]), REVISION), encoding="utf-8") as file:
        revision = file.read().strip()
    address = f"{item['bucket']}/manifests/{context.settings.environment}/{revision}.json"
    try:
        document = json.loads(aside(lambda: source(address, item, context), item))
        text = next(each["text"] for each in document["start"] if each["path"] == path)
    except Failure as failure:
        raise Failure(f"{missing}, {address}: {failure.why}") from None
    except (ValueError, KeyError, TypeError, StopIteration):
        raise Failure(f"{missing}, nor has {address}") from None
    data: bytes = text.encode()
    if sha256(data).hexdigest() != digest:
        raise Failure(f"{missing}, and {address} is of other assets")
    return data


def _advice(problem: OSError) -> str:
    if problem.errno in (1, 13, 30):
        return " (write `start: {directory: /run/kaiun}`, a tmpfs if the root is read-only)"
    return ""
