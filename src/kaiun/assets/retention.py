"""Collect what no release refers to any more: only files that our own manifests name.

A release's manifest goes when no running task, none of the last releases and none of the last days
needs it; then the files that it alone referred to. Whatever another manifest in the bucket names,
of any app or environment, stays, and what no manifest of ours ever named is not ours to delete.

A deploy of another environment may publish to the same bucket meanwhile (one of this environment
cannot: the lock). So manifests are listed again right before each batch of files is deleted, and a
publication that uploaded something lists its files again at its end. A collection that was
interrupted leaves `collected/…`, from where the next one goes on; a release whose manifest is there
counts as not published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.assets.bucket import COLLECTED
from kaiun.aws.caller import batches
from kaiun.aws.s3 import DELETED_A_CALL

if TYPE_CHECKING:
    from kaiun.assets.bucket import AssetBucket, Published

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

    `interrupted`: manifests that an earlier collection did not get done with. `kept`: how many of
    ours stay, with `kept_size` bytes of files. `digests`: of what was compiled, as the manifests
    name it that stay, of all apps.
    """

    manifests: tuple[Published, ...] = ()
    interrupted: tuple[Published, ...] = ()
    files: frozenset[str] = field(default=frozenset())
    size: int = 0  # bytes
    kept: int = 0
    kept_size: int = 0  # bytes
    digests: frozenset[str] = field(default=frozenset())

    @property
    def empty(self) -> bool:
        return not self.manifests and not self.interrupted


def examine(bucket: AssetBucket, owner: tuple[str, str], needed: Needed) -> Leftover:
    """Return what can go of an app's environment. Raises AwsError, AssetsError."""
    everything = bucket.read(bucket.names())
    marked = bucket.read(bucket.names(COLLECTED), COLLECTED)
    return leftover(everything, [each for each in marked if each.owner == owner], owner, needed)


def leftover(
    everything: Sequence[Published],
    interrupted: Sequence[Published],
    owner: tuple[str, str],
    needed: Needed,
) -> Leftover:
    """Return what of `owner` nothing needs. `everything`: all manifests of the bucket."""
    ours = [each for each in everything if each.owner == owner]
    newest = sorted(ours, key=lambda each: each.published, reverse=True)[: needed.newest]
    gone = [each for each in ours if each not in newest and not _is_needed(each, needed)]
    stays = [each for each in everything if each not in gone]
    gone_sizes = _sizes([*gone, *interrupted])
    kept = [each for each in stays if each.owner == owner]
    files = frozenset(gone_sizes) - paths(stays)
    return Leftover(
        tuple(gone),
        tuple(interrupted),
        files,
        size=sum(gone_sizes[path] for path in files),
        kept=len(kept),
        kept_size=sum(_sizes(kept).values()),
        digests=frozenset(each.manifest.digest for each in stays),
    )


def collect(bucket: AssetBucket, found: Leftover) -> int:
    """Delete what `examine` found; return how many files went. Raises AwsError, AssetsError."""
    for published in found.manifests:
        bucket.write(published, COLLECTED)
        bucket.drop(published)
    deleted = 0
    for batch in batches(sorted(found.files), DELETED_A_CALL):
        stay = paths(bucket.read(bucket.names()))
        bucket.delete(left := set(batch) - stay)
        deleted += len(left)
    for published in (*found.manifests, *found.interrupted):
        bucket.drop(published, COLLECTED)
    return deleted


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
