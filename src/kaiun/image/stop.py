"""Child processes that end when they are told to: Ctrl-C must leave no build behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from kaiun.errors import ImageError, Interrupted

_PATIENCE_S = ((signal.SIGINT, 5.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0))


class Stop:
    """A request to end, given from any thread, at any time, heard by all builds of this run."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._endings: dict[object, Callable[[], None]] = {}

    def request(self) -> None:
        """End the children and make every wait raise Interrupted. Bounded by some seconds."""
        self._asked.set()
        with self._lock:
            endings = list(self._endings.values())
        for ending in endings:
            ending()

    def check(self) -> None:
        """Raise Interrupted once a stop was requested."""
        if self._asked.is_set():
            raise Interrupted("interrupted: no image was published")

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until a stop is requested; then raise Interrupted."""
        self._asked.wait(seconds)
        self.check()

    @contextmanager
    def calling(self, ending: Callable[[], None]) -> Iterator[None]:
        """Call `ending` if a stop is requested inside the block."""
        key = object()
        with self._lock:
            self._endings[key] = ending
        try:
            self.check()
            yield
        finally:
            with self._lock:
                del self._endings[key]


@contextmanager
def child(
    argv: Sequence[str], environment: Mapping[str, str], stop: Stop
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose output (both streams) is read in the block; wait for it at the end.

    It leads a session of its own, so that Ctrl-C reaches it only through kaiun, which ends the
    whole group when the block is left by an exception or a stop is requested. Where the kernel
    can, it ends with this thread too, should kaiun be killed.
    """
    if shutil.which(argv[0]) is None:
        raise ImageError(f"cannot run {argv[0]}: no such program")
    try:
        process = subprocess.Popen(
            [*_bound(), *argv],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as problem:
        raise ImageError(f"cannot run {argv[0]}: {problem.strerror}") from problem
    try:
        with stop.calling(lambda: _end(process)):
            yield process
            process.wait()
        stop.check()
    finally:
        _end(process)
        if process.stdout:
            process.stdout.close()


@cache
def _bound() -> tuple[str, ...]:
    """Return the words that bind a program's life to its parent's: setpriv(1) of util-linux."""
    program = shutil.which("setpriv")
    return (program, "--pdeathsig=TERM", "--") if program else ()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask politely, then less so; whoever is left of the group is killed.

    An impatient second Ctrl-C kills at once.
    """
    if process.poll() is not None:
        return
    try:
        for number, patience_s in _PATIENCE_S:
            _signal(process, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
                break
    finally:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what the process prints, line by line, undecodable bytes replaced."""
    if process.stdout:
        for line in process.stdout:
            yield line.decode("utf-8", "replace").rstrip("\r\n")
