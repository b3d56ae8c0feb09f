"""The build context as git packs it: what the commit holds, and nothing of the work tree.

`git archive` writes it, so .gitattributes has its say (export-ignore leaves files out,
export-subst fills in $Format$). Where the last build's context is still there (checkout.py), only
what changed since is packed.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING

from kaiun.image import git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from kaiun.image.source import Place
    from kaiun.image.stop import Stop

# The user's own settings must not change modes, line ends or attributes, hence the image.
_SAME_EVERYWHERE = (
    *("-c", "tar.umask=0022", "-c", "core.autocrlf=false", "-c", "core.eol=lf"),
    *("-c", "core.attributesFile=/dev/null"),
)
_ATTRIBUTES = ".gitattributes"
_SUBMODULE = "160000"
_CHUNK = 1 << 18  # bytes
_MOST = 100_000  # bytes of changed paths, which become arguments; with more, all is packed


@dataclass(frozen=True, slots=True)
class Parcel:
    """What makes a folder the context: a tar archive, and what is taken away before.

    `content` tells what the folder then holds, for the next parcel; "" where that depends on more
    than can be told. `removed` are paths; None stands for everything.
    """

    content: str
    removed: tuple[str, ...] | None
    tar: Iterator[bytes] | None


def parcel(place: Place, there: str, stop: Stop) -> Parcel:
    """Pack the context for a folder that holds `there`, the content of an earlier parcel or "".

    Raises ImageError with git's own words, Interrupted.
    """
    settings = _settings(place)
    content = f"{place.tree}-{settings}" if settings else ""
    before, _, settings_then = there.partition("-")
    if before and settings and settings == settings_then:
        changes = _changes(place, before)
        if changes is not None:
            paths = [path for path, stays in changes.items() if stays]
            tar = _archived(place, stop, paths) if paths else None
            return Parcel(content, tuple(changes), tar)
    return Parcel(content, None, _archived(place, stop))


def warnings(place: Place) -> tuple[str, ...]:
    """Return what a user would miss in the context: submodules, files that Git LFS holds."""
    found = []
    if paths := _submodules(place):
        shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
        found.append(f"git archive leaves out submodules: {shown} will be empty in the image")
    if _has_lfs_pointers(place):
        found.append("Git LFS is not set up here: the image gets pointers (git lfs install)")
    return tuple(found)


def _archived(place: Place, stop: Stop, paths: list[str] | None = None) -> Iterator[bytes]:
    """Yield the context, or some paths of it, as a tar archive in pieces."""
    with tempfile.TemporaryFile() as said, _archive(place, paths or [], said) as archive:
        assert archive.stdout  # noqa: S101 (asked for by _archive)
        try:
            with stop.calling(archive.kill):
                while data := archive.stdout.read(_CHUNK):
                    yield data
                archive.wait()
        finally:
            archive.kill()
        stop.check()
        if archive.returncode:
            said.seek(0)
            raise git.failure(place.top, said.read())


def _archive(place: Place, paths: list[str], errors: IO[bytes]) -> Popen[bytes]:
    own = [*_SAME_EVERYWHERE, "--literal-pathspecs"]
    return Popen(
        ["git", *own, "archive", "--format=tar", place.treeish, "--", *paths],
        cwd=place.top,
        env=git.environment() | {"GIT_ATTR_NOSYSTEM": "1"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=errors,
    )


def _settings(place: Place) -> str:
    """Return a digest of what else decides how git packs a tree; "" where that cannot be told.

    Filters (Git LFS) depend on the machine, and export-subst on the commit.
    """
    if _grep_attributes(place, "filter", "export-subst") != 1:
        return ""
    name = git.text(git.run(place.top, "rev-parse", "--git-path", "info/attributes"))
    own = b""
    with suppress(FileNotFoundError):
        own = (place.top / name).read_bytes()
    return hashlib.sha256(repr(_SAME_EVERYWHERE).encode() + own).hexdigest()[:16]


def _changes(place: Place, before: str) -> dict[str, bool] | None:
    """Return the paths that differ from an earlier tree, and whether they are in this one.

    None where packing them would not do: too many, submodules, attributes of other files.
    """
    raw = ("-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none")
    told = git.attempt(place.top, "diff-tree", *raw, "--end-of-options", before, place.tree)
    if told.returncode or len(told.stdout) > _MOST:
        return None  # also where the earlier tree is not in this clone
    fields = told.stdout.decode("utf-8", "surrogateescape").split("\0")
    changes = {}
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        old, new, _, _, status = facts.lstrip(":").split(" ")
        if _SUBMODULE in {old, new} or path.rpartition("/")[2] == _ATTRIBUTES:
            return None
        changes[path] = status != "D"
    return changes


def _grep_attributes(place: Place, *words: str) -> int:
    """Return what `git grep` ends with: 0 where .gitattributes hold a word, 1 where none does."""
    marks = [option for word in words for option in ("-e", word)]
    return git.attempt(
        place.top, "grep", "-q", "-F", *marks, place.treeish, "--", f"*{_ATTRIBUTES}"
    ).returncode


def _submodules(place: Place) -> list[str]:
    listed = git.run(place.top, "ls-tree", "-r", "-z", "--full-tree", place.treeish)
    entries = (entry.partition(b"\t") for entry in listed.split(b"\0"))
    return [git.text(path) for kind, _, path in entries if kind.startswith(b"160000 ")]


def _has_lfs_pointers(place: Place) -> bool:
    """Return whether files are in LFS while no filter would fetch them for `git archive`."""
    if _grep_attributes(place, "filter=lfs") != 0:
        return False
    configured = git.attempt(
        place.top, "config", "--get-regexp", r"^filter\.lfs\.(process|smudge)$"
    )
    return configured.returncode != 0
