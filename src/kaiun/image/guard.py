"""What of an image's files kaiun's layer depends on, and whether a layer of the image touches it.

A layer is looked at where overlayfs keeps it. It is harmless where it holds nothing but the app's
own files: then what was learnt of the image below still holds with another layer in its place, as
long as the few files that kaiun's layer copies or links stay as they were.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kaiun.cpu import overlayfs

# Where a tool of the image, or a library that takes part in compiling assets, may be though it is
# the app's folder: see probe.TOOLS.
_PLACES = ("vendor/bundle", "node_modules", ".venv", ".pnp.cjs")
_HOMES = ("GEM_HOME", "BUNDLE_PATH", "VIRTUAL_ENV")
_PROGRAMS = ("python3", "ruby", "node")
_DISPOSABLE = ("/tmp", "/var/tmp", "/var/log", "/var/cache", "/root/.cache")  # noqa: S108
_ENTRIES = 100_000  # beyond, looking costs more than it saves


@dataclass(frozen=True, slots=True)
class Guard:
    """Paths are absolute and normal. `kept` are single files, `places` hold tools."""

    workdir: str
    kept: frozenset[str]
    places: frozenset[str]

    @property
    def above(self) -> frozenset[str]:
        """Return the folders that lead to anything guarded."""
        return frozenset(folder for path in self.kept | self.places for folder in _above(path))

    def states(self, layer: Path) -> dict[str, str] | None:
        """Return the state of each kept file that the layer holds; None if it is not harmless."""
        found: dict[str, str] = {}
        above, root = self.above, len(str(layer))
        try:
            for count, entry in enumerate(overlayfs.entries(str(layer))):
                path = entry.path[root:]
                if count >= _ENTRIES:
                    return None
                if path in self.kept:
                    found[path] = _state(entry)
                elif not self._may_be(path, entry, above):
                    return None
        except OSError:
            return None
        return found

    def _may_be(self, path: str, entry: os.DirEntry[str], above: frozenset[str]) -> bool:
        """Whether an entry changes nothing but the app."""
        if path in self.places:
            return False
        if entry.is_dir(follow_symlinks=False):
            alone = path in above or not self._is_ours(path)
            return not (alone and is_opaque(entry.path))
        return path not in above and self._is_ours(path)

    def _is_ours(self, path: str) -> bool:
        inside = self.workdir != "/" and path.startswith(f"{self.workdir}/")
        return inside or path.startswith(tuple(f"{each}/" for each in _DISPOSABLE))


def of(workdir: str, variables: Iterable[str], python: str, files: Iterable[str]) -> Guard:
    """Return the guard of an image: its WORKDIR and environment (NAME=value), the Python found in
    it, the files, relative to WORKDIR, that kaiun's layer reads, keeps or replaces."""
    given: Mapping[str, str] = dict(each.partition("=")[::2] for each in variables)
    homes = [given[name] for name in _HOMES if given.get(name)]
    programs = [f"{each}/{name}" for each in given.get("PATH", "").split(":") for name in _PROGRAMS]
    places = [*_PLACES, *homes, *filter(None, [*programs, python])]
    kept = frozenset(_absolute(workdir, each) for each in files)
    return Guard(workdir, kept, frozenset(_absolute(workdir, each) for each in places) - kept)


def joined(layers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the states that are seen through layers, the topmost first."""
    seen: dict[str, str] = {}
    for each in layers:
        seen = {**each, **seen}
    return seen


def _absolute(workdir: str, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", workdir, path))


def _above(path: str) -> Iterator[str]:
    while (path := posixpath.dirname(path)) != "/":
        yield path


def is_opaque(path: str | Path) -> bool:
    """Whether a folder is marked as hiding what is below it, whatever the mark's value."""
    return any(
        name in overlayfs.OPAQUE_XATTRS for name in os.listxattr(path, follow_symlinks=False)
    )


def _state(entry: os.DirEntry[str]) -> str:
    """Return a text that differs where the file does: kind, mode, owner, content."""
    found = entry.stat(follow_symlinks=False)
    facts = f"{found.st_mode:o} {found.st_uid} {found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{facts} {Path(entry.path).readlink()}"
    if stat.S_ISREG(found.st_mode):
        with Path(entry.path).open("rb") as file:
            return f"{facts} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return facts if stat.S_ISDIR(found.st_mode) else "gone"
