"""One build of an image at a time on this machine: an advisory lock that dies with its holder."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import ImageError

if TYPE_CHECKING:
    from kaiun.image.stop import Stop

_LOOK_S = 0.1


def key(name: str) -> str:
    """Return what an image is called in the state home's folders."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def path_of(home: Path, name: str) -> Path:
    """Return where the lock of image `name` is."""
    return home / "locks" / f"{key(name)}.lock"


def is_held(path: Path) -> bool:
    """Return whether a living process has the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def taken(descriptor: int, path: Path) -> bool:
    """Lock what is open; return whether that was done, and it is still what has that name."""
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    return False


@contextmanager
def held(home: Path, name: str, stop: Stop, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of image `name`; call `waiting` again and again while another process has it.

    Raises ImageError when the state home cannot be written, Interrupted when asked to stop.
    """
    path = path_of(home, name)
    descriptor = _acquire(path, stop, waiting)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, stop: Stop, waiting: Callable[[], object]) -> int:
    """Take the lock, return its descriptor. Polled, so that a stop from another thread is heard."""
    while (descriptor := _try(path)) is None:
        waiting()
        stop.pause(_LOOK_S)
    return descriptor


def _try(path: Path) -> int | None:
    """Return a descriptor that holds the lock, None while another has it.

    The holder removes the file when done; who locked a file that is no longer there has nothing.
    """
    descriptor = _open(path)
    if taken(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    """Open the file, which anybody may read, and so lock, whatever the umask.

    On a build host several Unix users share the folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with suppress(PermissionError):
            os.fchmod(descriptor, 0o644)
        return descriptor
    except OSError as problem:
        raise unwritable(path, problem) from problem


def unwritable(path: Path, problem: OSError) -> ImageError:
    """Return the error for a file of the state home that cannot be written."""
    return ImageError(
        f"cannot write kaiun's state: {problem.strerror}",
        where=str(path),
        hint="KAIUN_HOME names another place",
    )
