"""Publish what was compiled: new files first, the manifest that refers to them last.

Before the first file its manifest is announced below `publishing/`: whose files of an upload that
never ended are, a collection would else not know.

What is trusted to be in the bucket already, by its listing alone:

- a file of the same key, size and ETag, where that is the MD5 of our file;
- where the ETag is none (KMS, parts) a file whose SHA-256, which S3 keeps from our upload, is ours;
- a fingerprinted name whatever its content: it is never overwritten, for pages that were sent out
  ask for it. That the content differs is said, unless it is a compressed variant.

A plain name with other content is overwritten; browsers keep it for a minute only. After an upload
the listing is read again: a collection that ran meanwhile for another environment of the bucket
cannot have known the new manifest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.assets.bucket import PUBLISHING
from kaiun.assets.manifest import sentence
from kaiun.aws.client import parallel
from kaiun.aws.upload import Upload, read
from kaiun.errors import AssetsError, AwsError

if TYPE_CHECKING:
    from kaiun.assets.bucket import AssetBucket, Published
    from kaiun.assets.manifest import AssetFile, AssetManifest
    from kaiun.aws.types import Listed
    from kaiun.aws.upload import Uploader

IMMUTABLE = "public, max-age=31536000, immutable"
SHORT = "public, max-age=60"
ROUNDS = 3  # of uploading what the listing afterwards does not show
SHOWN = 3

Files = Callable[["AssetManifest"], AbstractContextManager[Path]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a bucket lacks of a manifest's files.

    new: not there · replaced: a plain name with other content · kept: a fingerprinted one
    doubtful: of the right size, and neither ETag nor name says more
    """

    total: int
    new: tuple[AssetFile, ...] = ()
    replaced: tuple[AssetFile, ...] = ()
    kept: tuple[AssetFile, ...] = ()
    doubtful: tuple[AssetFile, ...] = ()

    @property
    def missing(self) -> tuple[AssetFile, ...]:
        """Return what has to be uploaded."""
        return self.new + self.replaced


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a publication came to. `remarks` are worth a warning."""

    total: int
    uploaded: int
    size: int  # bytes uploaded
    remarks: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return "12 of 300 files new, 1.2 MB"."""
        return sentence(self.uploaded, self.total, self.size)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes to one bucket. `files` opens a folder with every content by its SHA-256."""

    bucket: AssetBucket
    uploader: Uploader
    files: Files
    told: Callable[[int, int], None] = field(default=lambda _done, _total: None)

    def publish(self, published: Published) -> Outcome:
        """Upload what is not there, then write the manifest.

        Raises AwsError, AssetsError; the manifest is not written then, and what was uploaded is
        not uploaded again the next time.
        """
        manifest = published.manifest
        listed = self.bucket.listing(manifest)
        with self.files(manifest) as folder:
            found = self._settled(compare(manifest, listed, partial(_md5, folder)), folder)
            remarks = [*_kept(found), *self._clashes(found, published)]
            if found.missing:
                self.bucket.write(replace(published, published=time.time()), PUBLISHING)
                self._upload(found.missing, folder)
                self._complete(manifest, folder)
        self.bucket.write(replace(published, published=time.time()))
        if found.missing:
            with suppress(AwsError):  # who may not delete leaves it to the next collection
                self.bucket.drop(published, PUBLISHING)
        size = sum(file.size for file in found.missing)
        return Outcome(found.total, len(found.missing), size, tuple(remarks))

    def _settled(self, found: Difference, folder: Path) -> Difference:
        """Ask S3 for the SHA-256 of what is in doubt."""
        bucket = self.bucket
        asked = (partial(bucket.s3.describe, bucket.name, self._key(f)) for f in found.doubtful)
        told = dict(zip(found.doubtful, parallel(asked), strict=True))
        other = [f for f, it in told.items() if it is None or it.sha256 != f.sha256]
        kept = tuple(file for file in other if file.immutable)
        replaced = tuple(file for file in other if not file.immutable)
        return replace(
            found, doubtful=(), kept=found.kept + kept, replaced=found.replaced + replaced
        )

    def _clashes(self, found: Difference, published: Published) -> list[str]:
        """Tell whose files are overwritten: other environments that share the bucket."""
        if not found.replaced:
            return []
        others = self.bucket.read(self.bucket.names())
        return clashes(found.replaced, published, others)

    def _upload(self, files: Sequence[AssetFile], folder: Path) -> None:
        """Upload fingerprinted files before plain ones, which may name them."""
        done = 0

        def count(_: Upload) -> None:
            nonlocal done
            done += 1
            self.told(done, len(files))

        for immutable in (True, False):
            some = [self._order(f, folder) for f in files if f.immutable is immutable]
            self.uploader.upload(some, count)

    def _complete(self, manifest: AssetManifest, folder: Path) -> None:
        """Return once every file is listed with its size; upload again what went away."""
        for _ in range(ROUNDS):
            gone = compare(manifest, self.bucket.listing(manifest)).missing
            if not gone:
                return
            self._upload(gone, folder)
        raise AssetsError(
            f"{_named(gone)} went away again after it was uploaded",
            where=self.bucket.url(),
            hint="does a lifecycle rule, or another program, delete in this bucket?",
        )

    def _order(self, file: AssetFile, folder: Path) -> Upload:
        return Upload(
            key=self._key(file),
            file=folder / file.sha256,
            size=file.size,
            sha256=file.sha256,
            content_type=file.content_type,
            cache_control=IMMUTABLE if file.immutable else SHORT,
            encoding=file.encoding,
            once=file.immutable,
        )

    def _key(self, file: AssetFile) -> str:
        return self.bucket.prefix + file.path


def compare(
    manifest: AssetManifest,
    listed: Mapping[str, Listed],
    md5: Callable[[AssetFile], str] | None = None,
) -> Difference:
    """Return what is lacking, by a listing. Without `md5` a file of the right size is the same."""
    sorts: dict[str, list[AssetFile]] = {}
    for file in manifest.files:
        if sort := _sort(file, listed.get(file.path), md5):
            sorts.setdefault(sort, []).append(file)
    return Difference(len(manifest.files), **{name: tuple(some) for name, some in sorts.items()})


def _sort(file: AssetFile, found: Listed | None, md5: Callable[[AssetFile], str] | None) -> str:
    """Return the field of Difference that a file belongs in, "" for one that is there."""
    if found is None:
        return "new"
    if found.size != file.size:
        return "kept" if file.immutable else "replaced"
    return "doubtful" if md5 is not None and found.etag != md5(file) else ""


def clashes(
    replaced: Iterable[AssetFile], published: Published, others: Iterable[Published]
) -> list[str]:
    """Return a remark for each other app or environment whose newest manifest has other content."""
    newest: dict[tuple[str, str], Published] = {}
    for other in sorted(others, key=lambda each: each.published):
        newest[other.owner] = other
    newest.pop(published.owner, None)
    ours = {file.path: file.sha256 for file in replaced}
    remarks = []
    for (app, environment), other in sorted(newest.items()):
        same = [f for f in other.manifest.files if ours.get(f.path, f.sha256) != f.sha256]
        if same:
            whose = environment if app == published.app else f"{app} in {environment}"
            remarks.append(
                f"{_named(same)} of {whose}, which shares this bucket, is now overwritten: "
                "names without a fingerprint want a `bucket` with a prefix of their own"
            )
    return remarks


def _kept(found: Difference) -> list[str]:
    odd = [file for file in found.kept if not file.encoding]
    if not odd:
        return []
    return [
        f"{_named(odd)} is in the bucket under the same fingerprint with other content, and stays: "
        "is the compile reproducible?"
    ]


def _named(files: Sequence[AssetFile]) -> str:
    more = len(files) - SHOWN
    names = ", ".join(file.path for file in files[:SHOWN])
    return f"{names} and {more} more" if more > 0 else names


def _md5(folder: Path, file: AssetFile) -> str:
    """Return the MD5 of our copy. Raises AssetsError when it is not what the manifest says."""
    try:
        with (folder / file.sha256).open("rb") as body:
            content = read(body)
    except OSError as problem:
        raise AssetsError(f"{file.path} is not to be had: {problem.strerror}") from problem
    if content.sha256 != file.sha256:
        raise AssetsError(f"the copy of {file.path} is damaged", where=str(folder / file.sha256))
    return content.md5
