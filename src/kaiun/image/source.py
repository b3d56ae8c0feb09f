"""What an image is made from: a directory of a commit, a Dockerfile in it, build arguments."""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import git
from kaiun.image import revision as revisions

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.image.revision import Revision


@dataclass(frozen=True, slots=True)
class Source:
    """One image that kaiun builds.

    The application's image is tagged with the commit. With `by_tree` the tag is the SHA of the
    directory's git tree instead, so a commit that leaves the directory alone builds nothing.
    """

    app: str
    repository: str
    root: Path  # the folder of kaiun.yml; `context` is relative to it
    context: str = "."
    dockerfile: str = "Dockerfile"  # relative to the context
    target: str = ""
    args: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # may hold secrets
    by_tree: bool = False
    cpu: str = ""  # the baseline that compilers build for and the image keeps to, "" for none
    cache: bool = False  # whether layers are kept in the registry too
    layer: str = ""  # the name of kaiun.yml where kaiun's layer is added, else ""
    cpu_allow: tuple[tuple[str, str], ...] = ()  # what may be above it, and why


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source lies in a commit."""

    top: Path  # of the work tree
    commit: str
    path: str  # of the context from the top, "" for all
    tree: str  # SHA of the context
    tag: str

    @property
    def treeish(self) -> str:
        """Return what `git archive` is asked for."""
        return f"{self.commit}:{self.path}" if self.path else self.commit


def locate(source: Source, revision: Revision) -> Place:
    """Find the source in the commit.

    Raises ImageError when the context is not a directory of the commit or leaves the repository.
    """
    path = _inside(revisions.prefix(source.root), source.context)
    tree = revisions.tree_sha(source.root, revision.sha, path)
    tag = tree + _variant(source) if source.by_tree else revision.sha
    return Place(git.top(source.root), revision.sha, path, tree, tag)


def require_dockerfile(source: Source, place: Place) -> str:
    """Return the Dockerfile's path inside the context.

    Raises ImageError when the commit does not hold it.
    """
    path = posixpath.normpath(source.dockerfile)
    if path.startswith(("../", "/")):
        raise ImageError(
            f"the Dockerfile {source.dockerfile!r} lies outside of the context {source.context!r}",
            hint="`dockerfile:` is relative to `context:`",
        )
    full = posixpath.join(place.path, path)
    if not revisions.has_file(place.top, place.commit, full):
        there = (place.top / full).exists()
        raise ImageError(
            f"the commit has no {full}",
            where=str(place.top),
            hint=f"it is there but not committed: git add {full} && git commit"
            if there
            else "write a Dockerfile and commit it, or set `image: {dockerfile: PATH}`",
        )
    return path


def _inside(prefix: str, context: str) -> str:
    """Return the context's path from the top of the repository, "" for all of it."""
    path = posixpath.normpath(posixpath.join("/", prefix, context))
    climbs = posixpath.normpath(posixpath.join(prefix, context)).split("/")[0] == ".."
    if climbs or context.startswith("/"):
        raise ImageError(
            f"the build context {context!r} lies outside of the repository",
            hint="`context:` is a directory of the commit, relative to kaiun.yml",
        )
    return path.strip("/")


def _variant(source: Source) -> str:
    """Return "" or a suffix for what changes the image though the directory does not."""
    chosen = (source.dockerfile, source.target, source.args, source.cpu)
    if chosen == ("Dockerfile", "", (), ""):
        return ""
    recipe = [source.dockerfile, source.target, sorted(source.args), *filter(None, [source.cpu])]
    return "-" + hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
