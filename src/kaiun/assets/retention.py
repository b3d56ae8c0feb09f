"""Collect what no release refers to any more: only files that our own manifests name.

A release's manifest goes when no running task, none of the last releases and none of the last days
needs it; then the files that it alone referred to. Whatever another manifest in the bucket names,
of any app or environment, stays, and what no manifest of ours ever named is not ours to delete.

A deploy of another environment may publish to the same bucket meanwhile (one of this environment
cannot: the lock). So manifests are listed again right before each batch of files is deleted, and a
publication that uploaded something lists its files again at its end. A collection that was
interrupted leaves `collected/…`, from where the next one goes on; a release whose manifest is there
counts as not published.

A publication that never ended leaves `publishing/…` and some of its files. They go once all of them
are older than what is kept, by S3's clock; until then they count as referred to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.assets.bucket import COLLECTED, PUBLISHING
from kaiun.aws.caller import batches
from kaiun.aws.s3 import DELETED_A_CALL

if TYPE_CHECKING:
    from kaiun.assets.bucket import AssetBucket, Published
    from kaiun.aws.types import Listed

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Needed:
    """What is needed: commits and image digests of what runs or was released lately.

    `newest`: so many of the manifests stay in any case; `since`: all published after it (seconds
    since the epoch).
    """

    revisions: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    newest: int = 1
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """What can go: manifests of releases, and the files that they alone refer to.

    `interrupted`: manifests that an earlier collection did not get done with. `unfinished`: of
    publications that never ended; `announced`: of others, to be forgotten. `kept`: how many of
    ours stay, with `kept_size` bytes of files. `digests`: of what was compiled, as the manifests
    name it that stay, of all apps.
    """

    manifests: tuple[Published, ...] = ()
    interrupted: tuple[Published, ...] = ()
    unfinished: tuple[Published, ...] = ()
    announced: tuple[Published, ...] = ()
    files: frozenset[str] = field(default=frozenset())
    size: int = 0  # bytes
    kept: int = 0
    kept_size: int = 0  # bytes
    digests: frozenset[str] = field(default=frozenset())

    @property
    def empty(self) -> bool:
        return not self.manifests and not self.interrupted and not self.unfinished


@dataclass(frozen=True, slots=True)
class Uploads:
    """Publications that began: those that ended, those that never will, those that may.

    `stray`: the files that the second left, with their sizes in bytes.
    """

    ended: tuple[Published, ...] = ()
    lost: tuple[Published, ...] = ()
    going_on: tuple[Published, ...] = ()
    stray: Mapping[str, int] = field(default_factory=dict)


def examine(bucket: AssetBucket, owner: tuple[str, str], needed: Needed) -> Leftover:
    """Return what can go of an app's environment. Raises AwsError, AssetsError."""
    everything = bucket.read(bucket.names())
    marked = bucket.read(bucket.names(COLLECTED), COLLECTED)
    uploads = _uploads(bucket, everything, owner, needed.since)
    ours = [each for each in marked if each.owner == owner]
    return leftover(everything, ours, owner, needed, uploads)


def leftover(
    everything: Sequence[Published],
    interrupted: Sequence[Published],
    owner: tuple[str, str],
    needed: Needed,
    uploads: Uploads,
) -> Leftover:
    """Return what of `owner` nothing needs. `everything`: all manifests of the bucket."""
    ours = [each for each in everything if each.owner == owner]
    newest = sorted(ours, key=lambda each: each.published, reverse=True)[: needed.newest]
    gone = [each for each in ours if each not in newest and not _is_needed(each, needed)]
    stays = [each for each in everything if each not in gone]
    gone_sizes = {**uploads.stray, **_sizes([*gone, *interrupted])}
    kept = [each for each in stays if each.owner == owner]
    files = frozenset(gone_sizes) - paths([*stays, *uploads.going_on])
    return Leftover(
        tuple(gone),
        tuple(interrupted),
        uploads.lost,
        uploads.ended,
        files,
        size=sum(gone_sizes[path] for path in files),
        kept=len(kept),
        kept_size=sum(_sizes(kept).values()),
        digests=frozenset(each.manifest.digest for each in (*stays, *uploads.going_on)),
    )


def collect(bucket: AssetBucket, found: Leftover) -> int:
    """Delete what `examine` found; return how many files went. Raises AwsError, AssetsError."""
    for published in found.manifests:
        bucket.write(published, COLLECTED)
        bucket.drop(published)
    deleted = 0
    for batch in batches(sorted(found.files), DELETED_A_CALL):
        stay = paths([*bucket.read(bucket.names()), *_begun_since(bucket, found)])
        bucket.delete(left := set(batch) - stay)
        deleted += len(left)
    for published in (*found.manifests, *found.interrupted):
        bucket.drop(published, COLLECTED)
    for published in (*found.unfinished, *found.announced):
        bucket.drop(published, PUBLISHING)
    return deleted


def _uploads(
    bucket: AssetBucket, everything: Sequence[Published], owner: tuple[str, str], since: float
) -> Uploads:
    """Return the publications that were announced. Of other owners all count as going on."""
    done = {(each.name, each.manifest.digest) for each in everything if each.owner == owner}
    named = paths(everything)
    ended, lost, going_on = [], [], []
    stray: dict[str, int] = {}
    for each in bucket.read(bucket.names(PUBLISHING), PUBLISHING):
        if each.owner != owner:
            going_on.append(each)
        elif (each.name, each.manifest.digest) in done:
            ended.append(each)
        elif _is_young(each, left := _left(bucket, each, named), since):
            going_on.append(each)
        else:
            lost.append(each)
            stray |= {path: found.size for path, found in left.items()}
    return Uploads(tuple(ended), tuple(lost), tuple(going_on), stray)


def _left(bucket: AssetBucket, published: Published, named: set[str]) -> dict[str, Listed]:
    """Return what is there of an upload's files, by path, without those that are `named`."""
    listed = bucket.listing(published.manifest)
    return {path: listed[path] for path in paths([published]) - named if path in listed}


def _is_young(published: Published, left: Mapping[str, Listed], since: float) -> bool:
    times = (published.published, *(found.modified for found in left.values()))
    return max(times) >= since


def _begun_since(bucket: AssetBucket, found: Leftover) -> list[Published]:
    """Return the publications that are announced now, without those that are collected."""
    names = bucket.names(PUBLISHING) - {
        each.path(PUBLISHING).removeprefix(PUBLISHING) for each in found.unfinished
    }
    return bucket.read(names, PUBLISHING)


def paths(published: Iterable[Published]) -> set[str]:
    """Return the paths of all files that these manifests name."""
    return {file.path for each in published for file in each.manifest.files}


def _sizes(published: Iterable[Published]) -> dict[str, int]:
    """Return the size of each file that these manifests name, by path."""
    return {file.path: file.size for each in published for file in each.manifest.files}


def _is_needed(published: Published, needed: Needed) -> bool:
    return (
        published.revision in needed.revisions
        or published.image in needed.images
        or published.published >= needed.since
    )
