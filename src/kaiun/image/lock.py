"""One build of an image at a time on this machine: an advisory lock that dies with its holder."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import ImageError

if TYPE_CHECKING:
    from kaiun.image.stop import Stop

_LOOK_S = 0.1


@contextmanager
def held(home: Path, name: str, stop: Stop, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of image `name`; call `waiting` once if another process has it.

    Raises ImageError when the state home cannot be written, Interrupted when asked to stop.
    """
    path = home / "locks" / (hashlib.sha256(name.encode()).hexdigest()[:32] + ".lock")
    descriptor = _acquire(path, stop, waiting)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, stop: Stop, waiting: Callable[[], None]) -> int:
    """Take the lock, return its descriptor. Polled, so that a stop from another thread is heard."""
    told = False
    while (descriptor := _try(path)) is None:
        if not told:
            waiting()
            told = True
        stop.pause(_LOOK_S)
    return descriptor


def _try(path: Path) -> int | None:
    """Return a descriptor that holds the lock, None while another has it.

    The holder removes the file when done; who locked a file that is no longer there has nothing.
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise ImageError(
            f"cannot write kaiun's state: {problem.strerror}",
            where=str(path),
            hint="KAIUN_HOME names another place",
        ) from problem
