"""Private folders that a killed process cannot leave behind for long.

Who works in one holds a lock on it; the next process removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held(parent: Path) -> Iterator[Path]:
    """Yield a new private folder below `parent`, which ends with the block.

    Raises OSError, also where `parent` is another user's.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if parent.is_symlink() or parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{parent} belongs to somebody else")
    sweep(parent)
    path, descriptor = _made(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Remove the folders whose process is no more."""
    for path in parent.iterdir():
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def forget(paths: Iterable[Path], kept_s: float) -> None:
    """Remove the files that were written longer ago than that."""
    oldest = time.time() - kept_s
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def in_memory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return a folder of ours that never reaches a disk, None where this system has none."""
    if (runtime := environ.get("XDG_RUNTIME_DIR")) and Path(runtime).is_dir():
        return Path(runtime) / "kaiun"
    shared = Path("/dev/shm")  # noqa: S108  (`held` sees to it that ours is ours)
    return shared / f"kaiun-{os.getuid()}" if shared.is_dir() else None


def _made(parent: Path) -> tuple[Path, int]:
    """Make and lock a folder; again where a sweeper came between the two."""
    while True:
        path = Path(tempfile.mkdtemp(dir=parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return path, descriptor
            os.close(descriptor)
