"""Examine files: those that are known cost a look, many unknown ones go to several processes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from kaiun.cpu import facts
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from kaiun.cpu.facts import Facts
    from kaiun.cpu.store import Store

_WORTH = 24 << 20  # bytes of files for which starting processes pays
_HELD = 256 << 20  # bytes of files that wait for a process, at most
_PROCESSES = min(os.cpu_count() or 1, 8)


class Examiner:
    """Give it files with `add`; `finish` returns the facts of all of them, by digest."""

    def __init__(self, store: Store, processes: int = _PROCESSES, worth: int = _WORTH) -> None:
        self._store = store
        self._processes, self._worth = processes, worth
        self._found: dict[str, Facts | None] = {}
        self._waiting: dict[str, tuple[bytes, str]] = {}
        self._running: dict[Future[Facts | None], tuple[str, int]] = {}
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

    def add(self, data: bytes, path: str = "") -> str:
        """Take a file's bytes; return their digest. Other processes read `path` where it is told,

        which is quicker than handing them the bytes.
        """
        digest = hashlib.sha256(data).hexdigest()
        if digest in self._found or digest in self._waiting:
            return digest
        known = self._store.facts([digest])
        if known:
            self._found.update(known)
            return digest
        self._found[digest] = None
        self._waiting[digest] = data, path
        if self._pool or sum(len(data) for data, _ in self._waiting.values()) > self._worth:
            self._dispatch()
        return digest

    def finish(self) -> Mapping[str, Facts | None]:
        """Return the facts of every file that was added."""
        for digest, (data, _) in self._waiting.items():
            self._keep(digest, facts.of_file(data))
        self._waiting.clear()
        while self._running:
            self._collect()
        return self._found

    def _dispatch(self) -> None:
        if self._processes < 2:
            return
        if self._pool is None:
            # Not forked: builds run in threads, whose locks a fork would copy as they are.
            self._pool = ProcessPoolExecutor(self._processes, get_context("spawn"), _deaf)
        for digest, (data, path) in self._waiting.items():
            submit = self._pool.submit
            future = submit(_of_path, path) if path else submit(facts.of_file, data)
            self._running[future] = (digest, len(data))
        self._waiting.clear()
        while sum(size for _, size in self._running.values()) > _HELD:
            self._collect()

    def _collect(self) -> None:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            digest, _ = self._running.pop(future)
            try:
                self._keep(digest, future.result())
            except (OSError, BrokenProcessPool) as problem:
                raise KaiunError(f"the scan of a file ended: {problem}") from problem

    def _keep(self, digest: str, known: Facts | None) -> None:
        self._found[digest] = self.new[digest] = known


def _of_path(path: str) -> Facts | None:
    return facts.of_file(Path(path).read_bytes())


def _deaf() -> None:
    """Leave Ctrl-C to the process that began the scan: it ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
