"""Several processes in one container: started in order, ended in the reverse order, all reaped.

When one ends, whatever its code, the others are told to end: the last started first, each by its
own signal to its whole process group, the next one when it has gone. What is left when the time
(`stop_timeout` less a margin) is over is killed. The container's exit code is that of the first
that failed by itself; when all was asked for by a signal to us, that of the main process. Signals
that end nothing (SIGUSR1, …) go to the main process.

It runs in a fresh interpreter (main._become): nothing of the steps, no key stays in memory.
"""

from __future__ import annotations

import os
import time

from kaiun.entry import child, signals
from kaiun.entry.failure import NOT_EXECUTABLE, NOT_FOUND, PREFIX, say
from kaiun.entry.signals import c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.command import Command

MARGIN_S = 2.0
FORWARDED = (c.SIGUSR1, c.SIGUSR2, c.SIGWINCH, c.SIGCONT, c.SIGTTIN, c.SIGTTOU)
WATCHED = (*signals.ENDING, *FORWARDED, c.SIGCHLD)


class Member:
    """One of the processes."""

    def __init__(self, name: str, number: int, argv: list[str]) -> None:
        self.name = name
        self.number = number  # the signal that ends it
        self.argv = argv
        self.pid = 0
        self.code: int | None = None
        self.told = False

    @property
    def alive(self) -> bool:
        return self.pid > 0 and self.code is None

    def tell(self, number: int) -> None:
        """Send a signal to the whole group."""
        child.signal_group(self.pid, number)

    def failed(self) -> bool:
        """Return whether it ended badly and not because it was told to."""
        asked = self.told and self.code in (128 + self.number, 128 + c.SIGKILL)
        return self.code not in (None, 0) and not asked


def arguments(todo: Command) -> list[str]:
    """Return the command line of a supervisor: time, then name, signal, count and words of each."""
    words = [str(todo.stop_timeout_s), todo.process, "TERM", str(len(todo.argv)), *todo.argv]
    for item in todo.beside:
        argv = item["command"]
        words += [item["name"], item.get("signal", "TERM"), str(len(argv)), *argv]
    return words


def members(words: list[str]) -> list[Member]:
    """Return the processes that `arguments` wrote down."""
    found = []
    while words:
        name, number, count = words[0], getattr(c, f"SIG{words[1]}", c.SIGTERM), int(words[2])
        found.append(Member(name, number, words[3 : 3 + count]))
        words = words[3 + count :]
    return found


def supervise(words: list[str]) -> int:
    """Run them all to their end; return the container's exit code."""
    time_s = max(float(words[0]) - MARGIN_S, 1.0)
    crew = members(words[1:])
    c.pthread_sigmask(c.SIG_BLOCK, WATCHED)
    asked = _begin(crew) or _watch(crew)
    _end(crew, asked, time_s)
    return _verdict(crew, asked)


def _begin(crew: list[Member]) -> int:
    """Start all; one that cannot be started is as one that ended at once."""
    return 0 if all(_started(member) for member in crew) else -1


def _started(member: Member) -> bool:
    try:
        member.pid = os.posix_spawn(
            child.which(member.argv[0], os.environ),
            member.argv,
            os.environ,
            setpgroup=0,
            setsigmask=[],
            setsigdef=[*WATCHED, *signals.IGNORED_BY_PYTHON],
        )
    except OSError as problem:
        say(f"{PREFIX} at {member.name}: cannot run {member.argv[0]!r}: {problem.strerror}")
        missing = isinstance(problem, FileNotFoundError)
        member.pid, member.code = -1, NOT_FOUND if missing else NOT_EXECUTABLE
    return member.pid > 0


def _watch(crew: list[Member]) -> int:
    """Wait until one ends, or until we are told to end; return the signal, -1 for the former."""
    while True:
        number = c.sigwaitinfo(WATCHED).si_signo
        if number in signals.ENDING:
            return int(number)
        if number in FORWARDED:
            crew[0].tell(number)
        elif _reap(crew):
            return -1


def _reap(crew: list[Member]) -> bool:
    """Reap whatever has ended; return whether one of ours has."""
    ours = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ours
        if pid == 0:
            return ours
        for member in crew:
            if member.pid == pid:
                member.code = child.exit_code(status)
                ours = True
                _note(member)


def _end(crew: list[Member], asked: int, time_s: float) -> None:
    """End those that are left, last started first; each may take its share of the time."""
    deadline = time.monotonic() + time_s
    left = [member for member in reversed(crew) if member.alive]
    for index, member in enumerate(left):
        share = max(deadline - time.monotonic(), 0.0) / (len(left) - index)
        member.told = True
        member.tell(member.number)
        if not _gone(crew, member, share):
            say(f"kaiun: {member.name} did not end within {share:.0f} s and is killed")
        member.tell(c.SIGKILL)  # to whoever is left of its group
        _gone(crew, member, 1.0)


def _gone(crew: list[Member], member: Member, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while member.alive:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        c.sigtimedwait(WATCHED, left)
        _reap(crew)
    return True


def _note(member: Member) -> None:
    if not member.told:
        how = f"exit code {member.code}" if (member.code or 0) <= 128 else "a signal"
        say(f"kaiun: {member.name} ended ({how}): the container ends")


def _verdict(crew: list[Member], asked: int) -> int:
    untold = [member for member in crew if member.failed() and not member.told]
    told = [member for member in crew if member.failed() and member.told]
    if asked > 0 and not untold:
        return crew[0].code or 0
    for member in (*untold, *told):
        return member.code or 0
    return 0
