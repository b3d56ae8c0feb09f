"""What the processes do that help with a scan: read files, hash them, examine what is new."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import signal
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kaiun.cpu import facts

if TYPE_CHECKING:
    from kaiun.cpu.store import Store


class Result(NamedTuple):
    """A file's digest, and its facts unless the store has them already."""

    digest: str
    facts: facts.Facts | None = None
    is_stored: bool = False


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 29  # bytes
_stores: list[Store] = []  # the process's own way to the store, when it has begun


def begin(store: Path | None) -> None:
    """Make a process ready, while others still look for files: what takes time is imported.

    It leaves Ctrl-C to the process that began the scan, which ends this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's threads for matrices, of which are none here
    _keep_memory()
    if store:
        from kaiun.cpu.store import reading

        _stores.append(reading(store))
    facts.prepare()


def _keep_memory() -> None:
    """Let the C library keep what was freed for the next file: fresh memory costs a fault a page.

    Source: mallopt(3). Other C libraries than glibc need not have it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for setting in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            mallopt(setting, _KEPT)


def of_data(data: bytes, digest: str) -> list[Result]:
    """Examine a file that the store does not have."""
    return [Result(digest, facts.of_file(data))]


def of_paths(paths: Iterable[str]) -> list[Result]:
    """Examine files on disk, unless the store has them. Raises OSError, and ValueError.

    They are mapped, not read: half of their bytes are only hashed. One that is cut meanwhile ends
    the process.
    """
    return [examined(_mapped(path), _stores) for path in paths]


def examined(data: facts.Buffer, stores: Iterable[Store]) -> Result:
    """Examine a file's bytes, unless a store has their digest."""
    digest = hashlib.sha256(data).hexdigest()
    if any(_has(store, digest) for store in stores):
        return Result(digest, is_stored=True)
    return Result(digest, facts.of_file(data))


def _mapped(path: str) -> mmap.mmap:
    with Path(path).open("rb", buffering=0) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _has(store: Store, digest: str) -> bool:
    try:
        return bool(store.facts([digest]))
    except sqlite3.Error:
        return False  # another one is just making it: what it has is not known here
