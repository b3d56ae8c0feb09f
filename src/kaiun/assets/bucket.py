"""The bucket that browsers get assets from: its files, and the manifests that refer to them.

    PREFIX/assets/application-5f3….css          files, by their path below `root`
    PREFIX/manifests/ENVIRONMENT/SHA.json       what one release of one environment refers to
    PREFIX/collected/ENVIRONMENT/SHA.json       a manifest whose files are just being deleted
    PREFIX/publishing/ENVIRONMENT/SHA-….json    one whose files are just being uploaded

A manifest is AssetManifest's JSON with the members of `Published` beside. Apps and environments may
share a bucket: whose a manifest is stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kaiun.assets import manifest as manifests
from kaiun.assets.manifest import AssetManifest
from kaiun.aws.client import parallel
from kaiun.errors import AssetsError

if TYPE_CHECKING:
    from kaiun.aws.s3 import S3
    from kaiun.aws.types import Listed

MANIFESTS = "manifests/"
COLLECTED = "collected/"
PUBLISHING = "publishing/"
OWN = ("app", "environment", "revision", "image")


@dataclass(frozen=True, slots=True)
class Published:
    """What one release refers to. `image`: the digest of its image."""

    app: str
    environment: str
    revision: str  # 40 hexadecimal digits
    image: str
    published: float  # seconds since the epoch
    manifest: AssetManifest

    @property
    def owner(self) -> tuple[str, str]:
        """Return app and environment."""
        return self.app, self.environment

    @property
    def name(self) -> str:
        """Return the part of the key that names this release."""
        return f"{self.environment}/{self.revision}.json"

    def path(self, folder: str) -> str:
        """Return where this is in a folder: an upload that did not end may have been of another
        compile of the same commit."""
        if folder != PUBLISHING:
            return folder + self.name
        return f"{folder}{self.environment}/{self.revision}-{self.manifest.digest[:12]}.json"

    def to_json(self) -> bytes:
        own = {name: getattr(self, name) for name in OWN} | {"published": round(self.published, 3)}
        document = json.loads(self.manifest.to_json()) | own
        return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def from_json(text: bytes, where: str) -> Published:
    """Read what `to_json` wrote. Raises AssetsError unless it is whole."""
    manifest = manifests.from_json(text, where=where)
    try:
        found = json.loads(text)
        app, environment, revision, image = (str(found[name]) for name in OWN)
        return Published(app, environment, revision, image, float(found["published"]), manifest)
    except (KeyError, TypeError, ValueError) as problem:
        raise AssetsError("this manifest does not say whose it is", where=where) from problem


class AssetBucket:
    """`s3://name/prefix`. Every method raises AwsError, reading a manifest AssetsError too."""

    def __init__(self, s3: S3, url: str) -> None:
        self.s3 = s3
        self.name, _, inside = url.removeprefix("s3://").rstrip("/").partition("/")
        self.prefix = f"{inside}/" if inside else ""

    def url(self, path: str = "") -> str:
        return f"s3://{self.name}/{self.prefix}{path}".rstrip("/")

    def published(self, environment: str, revision: str) -> Published | None:
        """Return what a release of an environment refers to, None when nothing was published."""
        return self._read(f"{MANIFESTS}{environment}/{revision}.json")

    def names(self, folder: str = MANIFESTS) -> frozenset[str]:
        """Return the names of the manifests that are in a folder, of all apps and environments."""
        keys = self.s3.list(self.name, self.prefix + folder)
        return frozenset(key.removeprefix(self.prefix + folder) for key in keys)

    def read(self, names: Iterable[str], folder: str = MANIFESTS) -> list[Published]:
        """Return the manifests with these names, without those that are gone by now."""
        found = parallel(partial(self._read, folder + name) for name in sorted(names))
        return [each for each in found if each is not None]

    def write(self, published: Published, folder: str = MANIFESTS) -> None:
        key = self.prefix + published.path(folder)
        self.s3.put(self.name, key, published.to_json(), content_type="application/json")

    def drop(self, published: Published, folder: str = MANIFESTS) -> None:
        """Delete a manifest, not its files."""
        self.s3.delete(self.name, self.prefix + published.path(folder))

    def listing(self, manifest: AssetManifest) -> dict[str, Listed]:
        """Return what the bucket has in the folders of the manifest's files, by path.

        One listing for each folder at the top, side by side, and one for what is in none.
        """
        folders = {path.partition("/")[0] if "/" in path else "" for path in _paths(manifest)}
        found = parallel(partial(self._list, folder) for folder in sorted(folders))
        return {each.key.removeprefix(self.prefix): each for some in found for each in some}

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files."""
        self.s3.delete_all(self.name, [self.prefix + path for path in paths])

    def _list(self, folder: str) -> tuple[Listed, ...]:
        inside = f"{folder}/" if folder else ""
        return self.s3.objects(self.name, self.prefix + inside, flat=not folder)

    def _read(self, path: str) -> Published | None:
        stored = self.s3.get(self.name, self.prefix + path)
        return from_json(stored.body, self.url(path)) if stored else None


def _paths(manifest: AssetManifest) -> Iterable[str]:
    return (file.path for file in manifest.files)
