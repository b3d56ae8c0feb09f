"""Push-to-build: a bare repository on the host whose pushes are built in the background.

`git push build main` ends when the host has the commits; the build goes on without the SSH
session, under the same lock and record as any other. Who deploys the commit meanwhile joins it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from kaiun import files
from kaiun.errors import ImageError
from kaiun.image import git

if TYPE_CHECKING:
    pass

NONE = "0" * 40
FOLDER = "kaiun"  # inside the repository: our code, the log
KEPT_LOG = 1 << 20  # bytes
HOOK = """\
#!/bin/sh
# Written by kaiun build --setup: builds what is pushed.
export KAIUN_HOME={home}
exec {python} -I -c 'import sys; sys.path.insert(0, sys.argv.pop(1))
from kaiun.image.host.pushed import main
main()' {code} {repository}
"""


@dataclass(frozen=True, slots=True)
class Pushing:
    """One app's repository: which environment of which kaiun.yml its pushes are built for."""

    app: str
    environment: str
    file: str  # kaiun.yml's path in the repository


def make(home: Path, pushing: Pushing) -> Path:
    """Make the bare repository, or bring its settings and hook up to date; return its path.

    Raises ImageError with git's own words.
    """
    repository = home / "repositories" / f"{pushing.app}.git"
    repository.mkdir(parents=True, exist_ok=True)
    git.run(repository, "init", "--quiet", "--bare", "--shared=group", ".")
    for name, value in (("environment", pushing.environment), ("file", pushing.file)):
        git.run(repository, "config", f"kaiun.{name}", value)
    code = _keep_code(repository)
    hook = repository / "hooks" / "post-receive"
    words = {"home": home, "python": sys.executable, "code": code, "repository": repository}
    text = HOOK.format(**{name: quote(str(value)) for name, value in words.items()})
    files.replace(hook, text, mode=0o775)
    return repository


def read(repository: Path) -> Pushing:
    """Return the settings of a repository."""

    def setting(name: str) -> str:
        return git.text(git.run(repository, "config", f"kaiun.{name}"))

    return Pushing(repository.stem, setting("environment"), setting("file"))


def pushed(lines: Iterable[str]) -> Iterator[str]:
    """Yield the commits at the tips of branches that a push brought, each once.

    `lines` are those that git gives a post-receive hook: old, new and ref.
    """
    tips = [line.split() for line in lines]
    news = [new for _, new, ref in tips if ref.startswith("refs/heads/") and new.strip("0")]
    yield from dict.fromkeys(news)


def _keep_code(repository: Path) -> Path:
    """Copy the version of kaiun that runs into the repository: the hook has to find it for ever."""
    import kaiun

    source = Path(kaiun.__file__).parents[1]
    folder = repository / FOLDER
    target = folder / source.name
    if not target.is_dir():
        folder.mkdir(exist_ok=True)
        new = folder / f"new-{os.getpid()}"
        try:
            _copy(source, new)
            new.rename(target)
        except OSError as problem:
            raise ImageError(
                f"kaiun cannot be copied to the repository: {problem.strerror}", where=str(target)
            ) from problem
    for other in folder.iterdir():
        if other.is_dir() and other != target:
            shutil.rmtree(other, ignore_errors=True)
    return target


def _copy(source: Path, into: Path) -> None:
    """Copy a folder without its modes: what is one user's there is here for all who push."""
    for path in source.rglob("*"):
        target = into / path.relative_to(source)
        if path.is_file() and path.parent.name != "__pycache__":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
