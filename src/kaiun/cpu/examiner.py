"""Examine files: those that are known cost a look, many unknown ones go to several processes."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from kaiun.cpu import worker
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from kaiun.cpu.facts import Facts
    from kaiun.cpu.store import Store

_WORTH = 24 << 20  # bytes of files for which starting processes pays
_HELD = 256 << 20  # bytes of files that wait for a process, at most
_LARGE = 8 << 20  # bytes of a file on disk that is begun at once: the last ones should be small
_BATCH = 4 << 20  # bytes of files on disk that are handed over together
_PROCESSES = min(os.cpu_count() or 1, 8)


class OnDisk(NamedTuple):
    """A file that waits; `told` gets its digest."""

    path: str
    size: int
    told: Callable[[str], None]


class Examiner:
    """Give it files with `add` and `read`; `finish` returns the facts of all of them, by digest."""

    def __init__(self, store: Store, processes: int = _PROCESSES, worth: int = _WORTH) -> None:
        self._store = store
        self._processes, self._worth = processes, worth
        self._found: dict[str, Facts | None] = {}
        self._stored: set[str] = set()  # what a process has found in the store
        self._waiting: dict[str, bytes] = {}
        self._on_disk: list[OnDisk] = []
        self._size = 0  # bytes of both
        self._running: dict[Future[list[worker.Result]], tuple[int, list[OnDisk]]] = {}
        self._pool: ProcessPoolExecutor | None = None
        self.new: dict[str, Facts | None] = {}  # what was not in the store

    def __enter__(self) -> Examiner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def add(self, data: bytes) -> str:
        """Take a file's bytes; return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        if digest in self._found or digest in self._waiting:
            return digest
        known = self._store.facts([digest])
        if known:
            self._found.update(known)
            return digest
        self._waiting[digest] = data
        if self._started(len(data)):
            self._hand_over()
        return digest

    def read(self, file: OnDisk) -> None:
        """Take a file on disk; its digest is told when `finish` is done, at the latest."""
        self._on_disk.append(file)
        if not self._started(file.size):
            return
        if file.size >= _LARGE:
            self._submit_paths([self._on_disk.pop()])
        elif sum(not future.done() for future in self._running) < self._processes:
            self._submit_all()  # someone has nothing to do

    def finish(self) -> Mapping[str, Facts | None]:
        """Return the facts of every file that was given. Raises KaiunError, and OSError."""
        if self._pool:
            self._hand_over()
            self._submit_all()
        else:
            self._examine()
        while self._running:
            self._collect()
        self._found.update(self._store.facts(self._stored))
        return self._found

    def _started(self, size: int) -> bool:
        """Whether other processes are at work, now that `size` bytes more wait for them."""
        self._size += size
        if self._pool is None and self._processes > 1 and self._size > self._worth:
            begin = worker.begin, (self._store.file,)
            self._pool = ProcessPoolExecutor(self._processes, _context(), *begin)
            for _ in range(self._processes):
                self._pool.submit(os.getpid)  # the first ones start the processes
        return self._pool is not None

    def _hand_over(self) -> None:
        for digest, data in self._waiting.items():
            self._submit(len(data), [], worker.of_data, data, digest)
        self._waiting.clear()

    def _submit_all(self) -> None:
        """Hand over the files on disk that wait, the largest first."""
        for files in _batches(sorted(self._on_disk, key=lambda each: -each.size)):
            self._submit_paths(files)
        self._on_disk.clear()

    def _submit_paths(self, files: list[OnDisk]) -> None:
        self._submit(0, files, worker.of_paths, [each.path for each in files])

    def _submit(
        self,
        size: int,
        files: list[OnDisk],
        work: Callable[..., list[worker.Result]],
        *arguments: object,
    ) -> None:
        assert self._pool is not None  # noqa: S101 (only called then)
        self._running[self._pool.submit(work, *arguments)] = size, files
        while sum(size for size, _ in self._running.values()) > _HELD:
            self._collect()

    def _collect(self) -> None:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            _, files = self._running.pop(future)
            try:
                self._keep(future.result(), files)
            except (OSError, ValueError, BrokenProcessPool) as problem:
                raise KaiunError(f"the scan of a file ended: {problem}") from problem

    def _examine(self) -> None:
        """Do it in this process."""
        for digest, data in self._waiting.items():
            self._keep(worker.of_data(data, digest), [])
        self._waiting.clear()
        for file in self._on_disk:
            data = Path(file.path).read_bytes()
            self._keep([worker.examined(data, [self._store])], [file])
        self._on_disk.clear()

    def _keep(self, results: Iterable[worker.Result], files: list[OnDisk]) -> None:
        results = list(results)
        for result in results:
            if result.is_stored:
                self._stored.add(result.digest)
            else:
                self._found[result.digest] = self.new[result.digest] = result.facts
        for file, result in zip(files, results, strict=False):
            file.told(result.digest)


def _context() -> BaseContext:
    """Return how processes are started: forked, which costs least, where this one has no threads.

    A fork would copy the locks of other threads (builds run in some) as they are.
    """
    alone = sys.platform == "linux" and threading.active_count() == 1
    return get_context("fork" if alone else "spawn")


def _batches(files: Iterable[OnDisk]) -> Iterator[list[OnDisk]]:
    """Yield files that are worth handing over together."""
    batch: list[OnDisk] = []
    for file in files:
        batch.append(file)
        if sum(each.size for each in batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
