"""The post-receive hook of push-to-build: says what it will do, then builds in the background."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.config import load
from kaiun.errors import KaiunError
from kaiun.image import Workshop, ensure_all, folders, git, resolve
from kaiun.image.host import pushes
from kaiun.image.host.worker import share
from kaiun.local.home import state_home

if TYPE_CHECKING:
    from kaiun.config.schema import Config
    from kaiun.image.host.pushes import Pushing


def main() -> None:
    """Take git's lines from stdin; return before anything is built, so that the push ends."""
    repository = Path(sys.argv[1])
    commits = list(pushes.pushed(sys.stdin))
    good = [sha for sha in commits if _announced(repository, sha)]
    if good and _background(repository / pushes.FOLDER / "log"):
        for sha in good:
            build(repository, sha)
        os._exit(0)


def build(repository: Path, sha: str) -> None:
    """Build all images of a commit; what goes wrong is in the build's record, and in the log."""
    home = state_home()
    share(home)
    try:
        with folders.held(home / "work" / str(os.getuid())) as folder:
            tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
            with work_tree(repository, sha, folder) as tree:
                config = configured(tree, pushes.read(repository), sha)
                built = ensure_all(config, resolve(config.root, sha), Workshop(home=home))
        for name, image in built.items():
            _say(f"{sha[:12]} {name}: {image.reference}")
    except KaiunError as problem:
        _say(f"{sha[:12]} failed: {problem}")
        for line in problem.detail:
            _say(f"  {line}")
    except Exception:  # noqa: BLE001  (nobody else would hear of it)
        _say(f"{sha[:12]} failed: a bug of kaiun\n{traceback.format_exc()}")


@contextmanager
def work_tree(repository: Path, sha: str, folder: Path) -> Iterator[Path]:
    """Yield a work tree of the commit, without its files: git answers there as in a clone."""
    tree = folder / "tree"
    git.run(repository, "worktree", "prune")
    git.run(repository, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(tree), sha)
    try:
        yield tree
    finally:
        git.attempt(repository, "worktree", "remove", "--force", str(tree))


def configured(tree: Path, pushing: Pushing, sha: str) -> Config:
    """Return the commit's configuration.

    Raises ConfigErrors, ImageError when the commit has no kaiun.yml at its place.
    """
    file = tree / pushing.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(git.run(tree, "show", f"{sha}:{pushing.file}"))
    return load(file, pushing.environment, revision=sha)


def _announced(repository: Path, sha: str) -> bool:
    """Tell the pusher what becomes of a commit; return whether it can be built."""
    try:
        with tempfile.TemporaryDirectory() as name, work_tree(repository, sha, Path(name)) as tree:
            configured(tree, pushes.read(repository), sha)
    except KaiunError as problem:
        first = str(next(iter(getattr(problem, "problems", ())), problem))
        _say(f"kaiun: {sha[:12]} cannot be built: {first.replace(f'{tree}/', '')}")
        return False
    _say(f"kaiun: {sha[:12]} is built in the background: kaiun build --watch {sha[:12]}")
    return True


def _background(log: Path) -> bool:
    """Go on in a process that the SSH session does not take along; True there, False here."""
    sys.stdout.flush()
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    with suppress(OSError):
        if log.stat().st_size > pushes.KEPT_LOG:
            log.replace(log.with_suffix(".old"))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o664)
    for descriptor, target in ((nowhere, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    return True


def _say(text: str) -> None:
    """Write a line to the pusher (`remote: …`), later to the log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
