"""What assets leave behind, as items of `kaiun gc`: files in the bucket, and in the registry."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from kaiun.assets import artifact, retention
from kaiun.aws.client import parallel
from kaiun.deploy.assets import bucket_of, digests, uses_bucket
from kaiun.deploy.lock import locked, me
from kaiun.deploy.needed import needed
from kaiun.deploy.state import state_of
from kaiun.image import reference
from kaiun.image.garbage import Item

if TYPE_CHECKING:
    from kaiun.assets.retention import Leftover
    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.image import Registry
    from kaiun.image.reference import Reference

COMMIT = re.compile(r"[0-9a-f]{40}")
SHOWN = 3  # releases


def items(
    aws: Aws, config: Config, registry: Registry, *, clock: Callable[[], float] = time.time
) -> list[Item]:
    """Return what there is of an app's environment, none where it has no assets.

    Raises AwsError, AssetsError, ImageError.
    """
    if config.assets is None:
        return []
    shelf = Shelf(aws, config, clock) if uses_bucket(config) else None
    found = shelf.examine() if shelf else None
    published = found.digests if found else frozenset()
    since = clock() - config.assets.keep.days * retention.DAY_S
    artifacts = Artifacts(registry, config.image.repository, since, published)
    return [*(shelf.items(found) if shelf and found else ()), *artifacts.items()]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The manifests and files of one app's environment in its bucket."""

    aws: Aws
    config: Config
    clock: Callable[[], float] = time.time

    def examine(self) -> Leftover:
        """Return what nothing needs any more. Raises AwsError, AssetsError."""
        config = self.config
        assert config.assets is not None  # noqa: S101  (uses_bucket)
        state = state_of(config, self.aws.s3)
        wanted = needed(self.aws, config, state, config.assets.keep, self.clock())
        owner = config.app, config.environment
        return retention.examine(bucket_of(self.aws, config), owner, wanted)

    def items(self, found: Leftover) -> list[Item]:
        """Return what stays and what goes, one item each."""
        url = bucket_of(self.aws, self.config).url()
        kept = f"{url}: {_count(found.kept, 'release')}"
        stays = Item("assets", kept, found.kept_size, "runs, or was released lately", self.collect)
        gone = [*found.manifests, *found.interrupted, *found.unfinished]
        names = ", ".join(each.revision[:8] for each in gone[:SHOWN])
        more = ", …" if len(gone) > SHOWN else ""
        files = _count(len(found.files), "file")
        name = f"{url}: {_count(len(gone), 'release')} ({names}{more}), {files}"
        goes = Item("assets", name, found.size, "", self.collect)
        return [*([stays] if found.kept else ()), *([goes] if gone else ())]

    def collect(self) -> None:
        """Delete what nothing needs at this moment, under the lock of the environment.

        Raises DeployLocked, AwsError, AssetsError.
        """
        with locked(state_of(self.config, self.aws.s3), me("gc", self.clock())):
            retention.collect(bucket_of(self.aws, self.config), self.examine())


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What was compiled, in the registry, which serves every environment.

    While an image can be deployed, its assets can be published: an artifact goes when no image
    names it, nor a manifest in the bucket (`published`, digests), and it is older than `since`
    (seconds since the epoch): the build that made it may not have pushed its image yet.
    """

    registry: Registry
    repository: str
    since: float
    published: Iterable[str] = ()

    @property
    def place(self) -> Reference:
        return reference.parse(self.repository)

    def items(self) -> list[Item]:
        """Raises ImageError."""
        known = self.registry.tags(self.place)
        compiled = [tag for tag in known if tag.startswith(artifact.tag(""))]
        if not compiled:
            return []
        named = self._named([tag for tag in known if COMMIT.fullmatch(tag)])
        named |= {artifact.tag(digest) for digest in self.published}
        manifests = parallel(partial(self.registry.manifest, self.place, tag) for tag in compiled)
        return [self._item(t, m or {}, named) for t, m in zip(compiled, manifests, strict=True)]

    def _item(self, tag: str, manifest: dict[str, Any], named: set[str]) -> Item:
        created = _seconds(manifest.get("annotations", {}).get(artifact.CREATED, ""))
        needed = "its image may be on its way" if created >= self.since else ""
        size = sum(int(layer.get("size", 0)) for layer in manifest.get("layers", ()))
        name = f"{self.repository}:{tag}"
        remove = partial(self._remove, tag)
        return Item("compiled assets", name, size, "named" if tag in named else needed, remove)

    def _remove(self, tag: str) -> None:
        if digest := self.registry.digest(self.place, tag):
            self.registry.delete(self.place, digest)

    def _named(self, tags: Sequence[str]) -> set[str]:
        """Return the artifacts that images name."""
        found = parallel(partial(self._digests, tag) for tag in tags)
        return {artifact.tag(digest) for some in found for digest in some}

    def _digests(self, tag: str) -> Iterable[str]:
        digest = self.registry.digest(replace(self.place, tag=tag))
        return digests(self.registry.labels(self.place, digest)).values() if digest else ()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _seconds(stamp: str) -> float:
    """Return a date of an annotation in seconds since the epoch, 0 where it is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0
