"""What was compiled, kept on the machine that builds: each content once, by its checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kaiun import files
from kaiun.assets.collect import Content
from kaiun.assets.manifest import AssetManifest, from_json
from kaiun.errors import AssetsError

_PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of the state home. Safe to share: what is written appears whole or not at all."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Return the folder of the contents, named by their SHA-256."""
        return self.root / "blobs"

    def path(self, sha256: str) -> Path:
        """Return where a content is, or would be."""
        return self.blobs / sha256

    def add(self, source: BinaryIO) -> Content:
        """Keep what can be read from `source`. Raises AssetsError when it cannot be written."""
        seen, size = hashlib.sha256(), 0
        partial = self.blobs / f".{uuid.uuid4().hex}"
        try:
            self.blobs.mkdir(parents=True, exist_ok=True)
            part = source.read(_PART_BYTES)
            if len(part) < _PART_BYTES and (kept := self._kept(part)):
                return kept
            with partial.open("wb") as file:
                while part:
                    seen.update(part)
                    size += len(part)
                    file.write(part)
                    part = source.read(_PART_BYTES)
            partial.replace(self.path(seen.hexdigest()))
        except OSError as problem:
            with suppress(OSError):
                partial.unlink()
            raise _refused(self.root, problem) from problem
        return Content(seen.hexdigest(), size)

    def _kept(self, data: bytes) -> Content | None:
        """Return the content if it is here already, whole; most of an output is."""
        found = Content(hashlib.sha256(data).hexdigest(), len(data))
        if not self._is_whole(found.sha256, found.size):
            return None
        os.utime(self.path(found.sha256))
        return found

    def has(self, manifest: AssetManifest) -> bool:
        """Return whether every content of the manifest is here, whole."""
        return all(self._is_whole(sha256, size) for sha256, size in manifest.sizes.items())

    def manifest(self, digest: str) -> AssetManifest | None:
        """Return the manifest of the digest, None where there is none or it is damaged."""
        path = self._manifest_path(digest)
        found = _manifest(path)
        with suppress(OSError):
            os.utime(path)
        return found if found and found.digest == digest else None

    def keep(self, manifest: AssetManifest) -> None:
        """Write the manifest; its contents are here already."""
        path = self._manifest_path(manifest.digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, manifest.to_json())
        except OSError as problem:
            raise _refused(self.root, problem) from problem

    def size(self) -> int:
        """Return how much it holds, in bytes."""
        return size(self._all())

    def unused(self, unused_s: float) -> list[Path]:
        """Return the files that were not used for so long: manifests first, then contents.

        A content goes when no manifest that stays names it; the young ones stay in any case, for
        a compile may be about to name them.
        """
        limit = time.time() - unused_s
        manifests = list(self.root.glob("manifests/*"))
        old = [path for path in manifests if _is_older(path, limit)]
        stay = (_manifest(path) for path in manifests if path not in old)
        kept = {sha256 for found in stay if found for sha256 in found.sizes}
        contents = (path for path in self.root.glob("blobs/*") if path.name not in kept)
        return old + [path for path in contents if _is_older(path, limit)]

    def sweep(self, unused_s: float) -> int:
        """Remove what was not used for so long; return how many bytes that freed.

        Raises AssetsError where it may not be removed.
        """
        before = self.size()
        try:
            for path in self.unused(unused_s):
                path.unlink(missing_ok=True)
        except OSError as problem:
            raise AssetsError(
                f"compiled assets cannot be removed: {problem.strerror}", where=str(self.root)
            ) from problem
        return before - self.size()

    def copy(self, sha256: str, into: Path) -> None:
        """Copy a content into the path of a file. Raises AssetsError unless it is whole."""
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path(sha256), into)
        if _digest(into) != sha256:
            raise AssetsError("what was compiled is damaged", where=str(self.path(sha256)))

    def _is_whole(self, sha256: str, size: int) -> bool:
        path = self.path(sha256)
        try:
            return path.stat().st_size == size and _digest(path) == sha256
        except OSError:
            return False

    def _manifest_path(self, digest: str) -> Path:
        return self.root / "manifests" / f"{digest}.json"

    def _all(self) -> Iterable[Path]:
        return (path for path in self.root.glob("*/*") if path.is_file())


def size(paths: Iterable[Path]) -> int:
    """Return how much files hold, in bytes; one that went away meanwhile holds nothing."""
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _manifest(path: Path) -> AssetManifest | None:
    try:
        return from_json(path.read_bytes(), where=str(path))
    except (OSError, AssetsError):
        return None


def _is_older(path: Path, limit: float) -> bool:
    """Return whether a file was last used before `limit` (seconds since the epoch)."""
    try:
        return path.stat().st_mtime < limit
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(root: Path, problem: OSError) -> AssetsError:
    return AssetsError(
        f"what was compiled cannot be kept: {problem.strerror}",
        where=str(root),
        hint="KAIUN_HOME names another place",
    )
