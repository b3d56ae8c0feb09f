"""The images of the engine's registry, read and changed where the registry keeps them.

Source: distribution, registry/storage/paths.go, the layout of its filesystem driver; the same in
2.x and 3.x. The registry has no cache of its own here (see engine.registry), so it sees at once
what is changed. Every file is put in place by a rename.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kaiun import files

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OWN: Final = ("_manifests", "_layers", "_uploads")  # all else in a folder are repositories in it


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest of a repository; `pushed_at` in seconds since the epoch."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float


class Images:
    """The repositories in `folder`, which the registry calls its root directory.

    Names of repositories are checked by the model's pattern before they come here.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder / "docker" / "registry" / "v2"

    def all(self, name: str) -> list[Image]:
        """Return the images of a repository, by the time of their push; [] where there is none."""
        tags = self.tags(name)
        found = []
        for link in self._manifests(name).glob("revisions/sha256/*/link"):
            digest = f"sha256:{link.parent.name}"
            own = tuple(sorted(tag for tag, of in tags.items() if of == digest))
            found.append(Image(digest, own, link.stat().st_mtime))
        return sorted(found, key=lambda image: (image.pushed_at, image.digest))

    def tags(self, name: str) -> dict[str, str]:
        """Return the digest of each tag."""
        links = sorted(self._manifests(name).glob("tags/*/current/link"))
        return {link.parent.parent.name: link.read_text() for link in links}

    def digest(self, name: str, tag: str) -> str | None:
        if not TAG.fullmatch(tag):
            return None
        return _read(self._manifests(name) / "tags" / tag / "current" / "link")

    def has(self, name: str, digest: str) -> bool:
        return bool(DIGEST.fullmatch(digest)) and self._revision(name, digest).exists()

    def manifest(self, digest: str) -> bytes:
        return self._blob(digest).read_bytes()

    def layer_size(self, name: str, digest: str) -> int | None:
        """Return the size of a layer or configuration of a repository in bytes; None: no such."""
        if not DIGEST.fullmatch(digest):
            return None
        blob = self._blob(digest)
        return blob.stat().st_size if self._layer(name, digest).exists() and blob.exists() else None

    def put(self, name: str, manifest: bytes, tag: str | None, now: float) -> str:
        """Store a manifest whose parts are there, as pushed `now`; return its digest."""
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        _write(self._blob(digest), manifest)
        _write(self._revision(name, digest), digest.encode())
        os.utime(self._revision(name, digest), (now, now))
        if tag is not None:
            folder = self._manifests(name) / "tags" / tag
            hexadecimal = digest.removeprefix("sha256:")
            _write(folder / "index" / "sha256" / hexadecimal / "link", digest.encode())
            _write(folder / "current" / "link", digest.encode())
        return digest

    def put_layer(self, name: str, digest: str, file: Path) -> None:
        """Make a file a layer; it is moved there."""
        blob = self._blob(digest)
        if not blob.exists():
            blob.parent.mkdir(parents=True, exist_ok=True)
            file.replace(blob)
        file.unlink(missing_ok=True)
        _write(self._layer(name, digest), digest.encode())

    def untag(self, name: str, tag: str) -> None:
        shutil.rmtree(self._manifests(name) / "tags" / tag, ignore_errors=True)

    def delete(self, name: str, digest: str) -> None:
        """Delete an image with its tags. Its layers stay, other images may have them too."""
        for tag, of in self.tags(name).items():
            if of == digest:
                self.untag(name, tag)
        shutil.rmtree(self._revision(name, digest).parent, ignore_errors=True)

    def forget(self, name: str) -> None:
        """Delete all that a repository has; repositories whose names go on from its own stay."""
        for part in _OWN:
            shutil.rmtree(self._repository(name) / part, ignore_errors=True)

    def size(self, digest: str) -> int:
        """Return the size of a manifest in bytes."""
        return self._blob(digest).stat().st_size

    def _repository(self, name: str) -> Path:
        return self._root / "repositories" / name

    def _manifests(self, name: str) -> Path:
        return self._repository(name) / "_manifests"

    def _revision(self, name: str, digest: str) -> Path:
        hexadecimal = digest.removeprefix("sha256:")
        return self._manifests(name) / "revisions" / "sha256" / hexadecimal / "link"

    def _layer(self, name: str, digest: str) -> Path:
        hexadecimal = digest.removeprefix("sha256:")
        return self._repository(name) / "_layers" / "sha256" / hexadecimal / "link"

    def _blob(self, digest: str) -> Path:
        hexadecimal = digest.removeprefix("sha256:")
        return self._root / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal / "data"


class Uploads:
    """Layers that come in parts by the API, one file each, until they are whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self) -> str:
        upload_id = str(uuid.uuid4())
        self._folder.mkdir(parents=True, exist_ok=True)
        self.path(upload_id).touch()
        return upload_id

    def path(self, upload_id: str) -> Path:
        return self._folder / upload_id

    def size(self, upload_id: str) -> int:
        return self.path(upload_id).stat().st_size

    def append(self, upload_id: str, part: bytes) -> None:
        with self.path(upload_id).open("ab") as file:
            file.write(part)

    def digest(self, upload_id: str) -> str:
        with self.path(upload_id).open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    def drop(self, upload_id: str) -> None:
        self.path(upload_id).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        return iter(p.name for p in self._folder.iterdir()) if self._folder.exists() else iter(())


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, content)
