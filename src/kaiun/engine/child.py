"""A program beside the engine: started once, adopted by the next engine, stopped when asked.

A child outlives `kill -9` of its engine. What is needed to find it again stands in a file:
its process id, when it began (a reused id has another beginning) and its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kaiun import files
from kaiun.engine.ending import Ending
from kaiun.errors import EngineError

log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
_POLL_S: Final = 0.05
_LOG_LINES: Final = 10
_LONG_LIVED_S: Final = 10.0  # a child that lived so long is brought back at once
REVIVAL_S: Final = 1.0  # any other, this much later
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that can be told from a later one of the same id; `port` 0: it has none."""

    pid: int
    began: str
    port: int = 0

    @property
    def alive(self) -> bool:
        return beginning(self.pid) == self.began


def beginning(pid: int) -> str | None:
    """Return when a process began, in clock ticks since boot; None for none or a zombie.

    Source: proc(5), /proc/pid/stat, fields 3 (state) and 22 (starttime).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def environment(**extra: str) -> dict[str, str]:
    """Return the variables that a child gets: none of the user's keys and settings."""
    return {**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, **extra}


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether this process could listen on the port. Raises OSError when forbidden."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            raise
        except OSError:
            return False
        return True


async def port_becomes_free(port: int, *, timeout_s: float = 2) -> bool:
    """Wait for a port that a killed process may still hold for a moment."""
    deadline = time.monotonic() + timeout_s
    while not port_is_free(port):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def answers(port: int, request: bytes, *, timeout_s: float = 5) -> bool:
    """Return whether something on loopback gives this request an HTTP 200."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(request)
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return line.startswith(b"HTTP/") and b" 200" in line


@dataclass(slots=True)
class Child:
    """One program by name. `home` holds NAME.pid and NAME.log."""

    home: Path
    name: str
    process: Process | None = None
    _popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _ending: Ending | None = field(default=None, repr=False)
    _revival: asyncio.TimerHandle | None = field(default=None, repr=False)
    _spawned_at: float = field(default=0.0, repr=False)

    @property
    def pid_file(self) -> Path:
        return self.home / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.name}.log"

    @property
    def is_own(self) -> bool:
        """Whether it was started here, not adopted."""
        return self._popen is not None

    def adopt(self) -> Process | None:
        """Return the running process, this engine's or an earlier one's."""
        if self._popen is not None:
            self._popen.poll()
        if self.process is None:
            self.process = self._remembered()
        if self.process is not None and not self.process.alive:
            self.process = None
        return self.process

    def _remembered(self) -> Process | None:
        try:
            found = json.loads(self.pid_file.read_text())
            return Process(int(found["pid"]), str(found["began"]), int(found["port"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], *, port: int = 0) -> Process:
        """Start the program in a session of its own, with its output in the log file."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._spawned_at = time.monotonic()
        with self.log_file.open("wb") as log:
            self._popen = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        pid = self._popen.pid
        self.process = Process(pid, beginning(pid) or "", port)
        text = json.dumps({"pid": pid, "began": self.process.began, "port": port})
        files.replace(self.pid_file, text)
        return self.process

    async def ready(self, healthy: Callable[[], Awaitable[bool]], *, timeout_s: float) -> None:
        """Wait until `healthy`. Raises EngineError with the end of its log when it ends first."""
        deadline = time.monotonic() + timeout_s
        while not await healthy():
            if self.adopt() is None:
                raise EngineError(f"{self.name} ended as it started", detail=self.last_lines())
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{self.name} does not answer after {timeout_s:g} s", detail=self.last_lines()
                )
            await asyncio.sleep(_POLL_S)

    def watch(self, lost: Callable[[], None]) -> None:
        """Have `lost` called when it ends though nobody stopped it: at once, or, where it had
        hardly begun, a moment later, lest one that cannot live keeps the machine busy."""
        if self._ending is None and self.process is not None:
            self._ending = Ending(self.process.pid, lambda: self._lost(lost))

    def _lost(self, lost: Callable[[], None]) -> None:
        self._ending = None
        age_s = time.monotonic() - self._spawned_at
        log.warning("%s has ended: %s", self.name, " | ".join(self.last_lines()[-3:]) or "-")
        if self.process is not None:
            _kill_group(self.process.pid)
        self.adopt()  # which reaps it
        delay_s = 0.0 if age_s > _LONG_LIVED_S else REVIVAL_S
        self._revival = asyncio.get_running_loop().call_later(delay_s, lost)

    def release(self) -> None:
        """Let go of it: it goes on, and nobody is told of its end any more."""
        if self._revival is not None:
            self._revival.cancel()
            self._revival = None
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def last_lines(self) -> list[str]:
        with contextlib.suppress(OSError):
            return self.log_file.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return []

    async def stop(self, *, timeout_s: float = 10) -> None:
        """SIGTERM, then SIGKILL; return when it is gone, with all that it started in its session.
        None running: nothing."""
        self.release()
        process = self.adopt()
        if process is not None:
            self._signal(process, signal.SIGTERM)
            deadline = time.monotonic() + timeout_s
            while self.adopt() is not None:
                if time.monotonic() > deadline:
                    self._signal(process, signal.SIGKILL)
                await asyncio.sleep(_POLL_S)
            _kill_group(process.pid)
        if self._popen is not None:
            self._popen.wait()  # it has ended: this only reaps it
            self._popen = None
        self.pid_file.unlink(missing_ok=True)

    @staticmethod
    def _signal(process: Process, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _kill_group(leader: int) -> None:
    """Kill what is left of a session whose first process has just ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
