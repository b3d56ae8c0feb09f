"""Run a command as a step: in a process group of its own, reaped, ended when the start ends."""

from __future__ import annotations

import os
import time

from kaiun.entry import signals
from kaiun.entry.signals import c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GRACE_S = 5.0
_running: dict[int, bool] = {}
_statuses: dict[int, int] = {}  # of those that ended before anybody waited for them


class Ended:
    """How a command ended; `said` is what it wrote to the pipe that was asked for."""

    def __init__(self, status: int, said: bytes = b"") -> None:
        self.code = exit_code(status)
        self.said = said

    def words(self) -> str:
        """Return how it ended, in words."""
        if self.code > 128:
            return f"was ended by {signals.name_of(self.code - 128)}"
        return f"ended with exit code {self.code}"

    def last_line(self) -> str:
        """Return the last line that is not blank, of what it said."""
        lines = self.said.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def exit_code(status: int) -> int:
    """Return what a shell would call the exit code of a wait status."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def which(program: str, environ: Mapping[str, str]) -> str:
    """Return the path of a program. Raises FileNotFoundError, or PermissionError."""
    if "/" in program:
        candidates = [program]
    else:
        path = environ.get("PATH") or os.defpath
        candidates = [os.path.join(folder or ".", program) for folder in path.split(":")]
    there = [path for path in candidates if os.path.isfile(path)]
    for path in there:
        if os.access(path, os.X_OK):
            return path
    if there:
        raise PermissionError(13, "Permission denied", there[0])
    raise FileNotFoundError(2, "No such file or directory", program)


class Begun:
    """A command that runs: its pid, and our ends of the pipes to it (-1 for none)."""

    def __init__(self, pid: int, readable: int, source: int, aloud: bool) -> None:
        self.pid = pid
        self.readable = readable
        self.source = source
        self.aloud = aloud

    def finish(self, given: bytes = b"") -> Ended:
        """Give it its input, hear it out and wait for its end."""
        said = b""
        try:
            if self.source >= 0:
                source, self.source = self.source, -1
                _feed(source, given)
            if self.readable >= 0:
                said = _listen(self.readable, aloud=self.aloud)
            status = _wait(self.pid)
        except signals.TimedOut:
            end_all()
            raise
        finally:
            self.close()
        return Ended(status, said)

    def close(self) -> None:
        """Close our ends."""
        for fd in (self.readable, self.source):
            if fd >= 0:
                os.close(fd)
        self.readable = self.source = -1


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    given: bytes | None = None,
    listen: int = 0,
) -> Ended:
    """Run a command to its end.

    `given` is its standard input, which is empty otherwise. `listen` is the file descriptor (1 or
    2) that is read; what comes on 2 is passed on as well. Raises OSError where it cannot be run.
    """
    return begin(argv, environ, feed=given is not None, listen=listen).finish(given or b"")


def begin(
    argv: Sequence[str], environ: Mapping[str, str], *, feed: bool = False, listen: int = 0
) -> Begun:
    """Begin a command; see `run`. Raises OSError where it cannot be run."""
    program = which(argv[0], environ)
    readable, writable = os.pipe() if listen else (-1, -1)
    supply, source = os.pipe() if feed else (os.open(os.devnull, os.O_RDONLY), -1)
    actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_DUP2, supply, 0)]
    if listen:
        actions.append((os.POSIX_SPAWN_DUP2, writable, listen))
    with signals.Held():
        pid = os.posix_spawn(
            program,
            list(argv),
            dict(environ),
            file_actions=actions,
            setpgroup=0,
            setsigmask=[],
            setsigdef=[*signals.ENDING, *signals.IGNORED_BY_PYTHON, c.SIGALRM],
        )
        _running[pid] = True
    for fd in (supply, writable):
        if fd >= 0:
            os.close(fd)
    return Begun(pid, readable, source, aloud=listen == 2)


def end_all() -> None:
    """End the commands that still run: SIGTERM to their groups, SIGKILL after GRACE_S."""
    deadline = time.monotonic() + GRACE_S
    for pid in _running:
        signal_group(pid, c.SIGTERM)
    while _running and time.monotonic() < deadline:
        for pid in list(_running):
            if _reaped(pid):
                del _running[pid]
        time.sleep(0.01)
    for pid in _running:
        signal_group(pid, c.SIGKILL)
    _running.clear()


def signal_group(pid: int, number: int) -> None:
    """Signal a process group, be it gone or not."""
    try:
        os.killpg(pid, number)
    except OSError:
        return


def _feed(fd: int, data: bytes) -> None:
    """Write all and close; a reader that has gone away is found out by its exit code."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        return
    finally:
        os.close(fd)


def _listen(fd: int, *, aloud: bool) -> bytes:
    said = b""
    while chunk := os.read(fd, 65536):
        said = (said + chunk)[-65536:] if aloud else said + chunk
        if aloud:
            os.write(2, chunk)
    return said


def _wait(pid: int) -> int:
    """Wait for one process; whatever else has become ours and ended is reaped on the way."""
    while pid not in _statuses:
        ended, status = os.waitpid(-1, 0)
        if _running.pop(ended, False):
            _statuses[ended] = status
    return _statuses.pop(pid)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
