"""What a build is made from: the git repository here, or what a developer sent to a build host.

The pipeline asks a Supply, never git: on a build host there is no repository, no work tree.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kaiun.image import context, git, source
from kaiun.image import revision as revisions
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from kaiun.config.schema import Config
    from kaiun.image.context import Parcel
    from kaiun.image.revision import Revision
    from kaiun.image.source import Place, Source
    from kaiun.image.stop import Stop

Tell = Callable[[BuildEvent], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the commit, as git knows it."""

    mode: str  # "100644", "100755", "120000" (symbolic link), "160000" (submodule)
    name: str  # of the object: the SHA of its content
    path: str  # relative to the folder of kaiun.yml


class Supply(Protocol):
    """The inputs of one build. `tag` is known at once; the rest is fetched when asked for."""

    @property
    def tag(self) -> str: ...

    def dockerfile(self) -> str:
        """Return its path inside the context. Raises ImageError when the commit has none."""

    def warnings(self) -> tuple[str, ...]:
        """Return what a user would miss in the context."""

    def parcel(self, there: str, stop: Stop) -> Parcel:
        """Pack the context for a folder that holds `there`; see context.parcel."""

    def configs(self, tell: Tell) -> dict[str, Config]:
        """Return the configuration of each environment, as the commit has it."""

    def entries(self) -> tuple[Entry, ...]:
        """Return every file of the commit in or below the folder of kaiun.yml, sorted by path."""


@dataclass(frozen=True, slots=True)
class FromGit:
    """The inputs as the repository around the source holds them."""

    wanted: Source
    place: Place

    @property
    def tag(self) -> str:
        return self.place.tag

    def dockerfile(self) -> str:
        return source.require_dockerfile(self.wanted, self.place)

    def warnings(self) -> tuple[str, ...]:
        return context.warnings(self.place)

    def parcel(self, there: str, stop: Stop) -> Parcel:
        return context.parcel(self.place, there, stop)

    def configs(self, tell: Tell) -> dict[str, Config]:
        return start_of(self.wanted, self.place, tell)

    def entries(self) -> tuple[Entry, ...]:
        return entries_of(listed(self.wanted, self.place))


def from_git(wanted: Source, revision: Revision) -> FromGit:
    """Return the inputs of `wanted` at `revision`.

    Raises ImageError when the context is not a directory of the commit.
    """
    return FromGit(wanted, source.locate(wanted, revision))


def start_of(wanted: Source, place: Place, tell: Tell) -> dict[str, Config]:
    """Return the configuration of each environment, as the commit has it.

    A kaiun.yml that is not in the commit is read from the work tree, with a note.
    """
    text, note = text_of(wanted, place)
    if note:
        tell(BuildEvent("note", "output", line=note))
    from kaiun.config.loader import every

    return every(wanted.root / wanted.layer, text)


def text_of(wanted: Source, place: Place) -> tuple[str | None, str]:
    """Return kaiun.yml as the commit has it, else None with a note."""
    path = posixpath.join(revisions.prefix(wanted.root), wanted.layer)
    shown = git.attempt(place.top, "show", f"{place.commit}:{path}")
    if shown.returncode:
        return None, f"{path} is not in the commit: taken as it is here"
    return shown.stdout.decode("utf-8", "replace"), ""


def listed(wanted: Source, place: Place) -> bytes:
    """Return what `git ls-tree -r -z` tells of the folder of kaiun.yml in the commit."""
    folder = revisions.prefix(wanted.root)
    tree = f"{place.commit}:{folder.rstrip('/')}" if folder else place.commit
    return git.run(place.top, "ls-tree", "-r", "-z", "--full-tree", tree)


def entries_of(tree: bytes) -> tuple[Entry, ...]:
    """Return the entries that `git ls-tree -r -z` printed."""
    found = []
    for line in filter(None, tree.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, _, name = facts.split(b" ", 2)
        found.append(Entry(mode.decode(), name.decode(), path.decode("utf-8", "surrogateescape")))
    return tuple(sorted(found, key=lambda each: each.path))
