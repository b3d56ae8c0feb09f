"""A revision as people write it (a branch, a tag, HEAD~2) becomes one commit, known in full."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import git

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit, and what the work tree has beside it.

    `dirty` names the paths that differ from HEAD or are untracked (relative to the top of the
    work tree); none of them is in the image.
    """

    sha: str
    short: str
    subject: str
    author: str  # Name <address>
    date: str  # committer date, ISO 8601 with zone
    dirty: tuple[str, ...] = ()
    source: str = ""  # URL of the remote "origin" without credentials, "" where there is none


def resolve(directory: Path, rev: str = "HEAD") -> Revision:
    """Return the commit that `rev` names in the repository around `directory`.

    Raises ImageError: not a repository, bare, no commit yet, unknown or ambiguous revision.
    """
    _require_work_tree(directory)
    sha = _commit_sha(directory, rev)
    shown = git.run(
        directory,
        *("-c", "log.showSignature=false", "log", "-1", "--no-color"),
        *("--format=%h%x00%an <%ae>%x00%cI%x00%s", "--end-of-options", sha, "--"),
    )
    short, author, date, subject = git.text(shown).split("\0", 3)
    return Revision(sha, short, subject, author, date, _dirty(directory), _source(directory))


def prefix(directory: Path) -> str:
    """Return the path of `directory` below the top of its work tree: "" or "apps/shop/"."""
    return git.text(git.run(directory, "rev-parse", "--show-prefix"))


def tree_sha(directory: Path, rev: str, path: str) -> str:
    """Return the SHA of the tree at `path` (from the top of the repository, "" = all) in `rev`.

    Two commits in which nothing below `path` differs give the same SHA.
    Raises ImageError when that commit has no such directory.
    """
    whole = path in {"", "."}
    wanted = f"{rev}^{{tree}}" if whole else f"{rev}:{path.rstrip('/')}"
    found = git.attempt(directory, *("rev-parse", "--verify", "--end-of-options", wanted))
    sha = git.text(found.stdout)
    if found.returncode or not (whole or _kind(directory, sha) == "tree"):
        raise ImageError(
            f"commit {rev[:12]} has no directory {path!r}",
            where=str(directory),
            hint="kaiun builds from the commit: `git add` and `git commit` the directory",
        )
    return sha


def has_file(directory: Path, sha: str, path: str) -> bool:
    """Return whether the commit holds a file (or a symbolic link) at `path`."""
    return _kind(directory, f"{sha}:{path}") == "blob"


def _kind(directory: Path, name: str) -> str:
    return git.text(git.attempt(directory, "cat-file", "-t", name).stdout)


def _require_work_tree(directory: Path) -> None:
    if git.text(git.run(directory, "rev-parse", "--is-inside-work-tree")) == "true":
        return
    raise ImageError(
        "this is a bare repository (or the inside of .git): it has no work tree and no kaiun.yml",
        where=str(directory),
        hint="run kaiun in a clone of it",
    )


def _commit_sha(directory: Path, rev: str) -> str:
    if not rev or "\0" in rev:
        raise ImageError("an empty revision names no commit", hint="name a branch, a tag or a SHA")
    found = git.attempt(directory, "rev-parse", "--verify", "--end-of-options", f"{rev}^{{commit}}")
    if found.returncode == 0:
        return git.text(found.stdout)
    said = git.text(found.stderr)
    if "ambiguous" in said:
        candidates = [line.removeprefix("hint:").strip() for line in said.splitlines()[1:]]
        raise ImageError(
            f"revision {rev!r} is ambiguous", hint="write more of the SHA", detail=candidates
        )
    raise _unknown(directory, rev)


def _unknown(directory: Path, rev: str) -> ImageError:
    where = str(directory)
    if git.attempt(directory, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        return ImageError(
            "the repository has no commit yet", where=where, hint="git add -A && git commit"
        )
    if git.attempt(directory, "cat-file", "-e", rev).returncode == 0:
        return ImageError(f"{rev!r} is not a commit", where=where, hint="name a commit")
    return ImageError(
        f"no revision {rev!r} in this repository", where=where, hint=_hint(directory, rev)
    )


def _hint(directory: Path, rev: str) -> str:
    if close := _similar(directory, rev):
        return "did you mean " + " or ".join(f"`{name}`" for name in close) + "?"
    if git.text(git.attempt(directory, "rev-parse", "--is-shallow-repository").stdout) == "true":
        return "this clone is shallow: git fetch --unshallow (in CI: fetch-depth: 0)"
    return "git fetch, or name a branch, a tag or a SHA that `git log` shows"


def _similar(directory: Path, rev: str) -> list[str]:
    listed = git.attempt(
        directory,
        *("for-each-ref", "--format=%(refname:short)"),
        *("refs/heads", "refs/tags", "refs/remotes"),
    )
    names = git.text(listed.stdout).splitlines()
    same_ending = [name for name in names if name.endswith(f"/{rev}")]
    return same_ending[:3] or difflib.get_close_matches(rev, names, n=3, cutoff=0.6)


def _dirty(directory: Path) -> tuple[str, ...]:
    """Return the paths that `git status` lists, sorted; a rename gives the new path only.

    Source: git-status(1), "Porcelain Format Version 1" with -z.
    """
    output = git.run(
        directory, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal"
    )
    entries = (entry for entry in output.split(b"\0") if entry)
    return tuple(sorted(entry[3:].decode("utf-8", "backslashreplace") for entry in entries))


def _source(directory: Path) -> str:
    url = git.text(git.attempt(directory, "config", "--get", "remote.origin.url").stdout)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
