"""Signals while steps run: SIGTERM and its kin end the start, SIGALRM ends a step that is late.

PID 1 is not killed by a signal that it does not handle, so all of them are handled. The C module
is used: `signal` builds enums for 4 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as c
    from types import FrameType
else:
    import _signal as c

__all__ = ["ENDING", "Held", "Limit", "Stopped", "TimedOut", "arm", "c", "ignore", "restore"]

ENDING = (c.SIGTERM, c.SIGINT, c.SIGHUP, c.SIGQUIT)
IGNORED_BY_PYTHON = (c.SIGPIPE, c.SIGXFSZ)  # an ignored signal stays ignored across exec


class Stopped(BaseException):
    """Somebody wants the container to end. Not an Exception: no step may take it for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class TimedOut(Exception):
    """A step took longer than its `timeout`."""


def arm() -> None:
    """From now on an ending signal raises Stopped, wherever the main thread is."""
    for number in ENDING:
        c.signal(number, _stop)
    c.signal(c.SIGALRM, _late)


def ignore() -> None:
    """Ignore further ending signals: the start is being ended already."""
    c.setitimer(c.ITIMER_REAL, 0)
    for number in (*ENDING, c.SIGALRM):
        c.signal(number, c.SIG_IGN)


def restore() -> None:
    """Put everything back as a program expects it at its start."""
    c.setitimer(c.ITIMER_REAL, 0)
    for number in (*ENDING, *IGNORED_BY_PYTHON, c.SIGALRM):
        c.signal(number, c.SIG_DFL)


class Limit:
    """`with Limit(seconds):` raises TimedOut in the block when the time is over; 0 is no limit."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        c.setitimer(c.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        c.setitimer(c.ITIMER_REAL, 0)


class Held:
    """`with Held():` keeps ending signals waiting until the block is left."""

    def __enter__(self) -> None:
        self.before = c.pthread_sigmask(c.SIG_BLOCK, (*ENDING, c.SIGALRM))

    def __exit__(self, *_: object) -> None:
        c.pthread_sigmask(c.SIG_SETMASK, self.before)


def name_of(number: int) -> str:
    """Return the name of a signal: 15 → "SIGTERM"."""
    names = (name for name in dir(c) if name.startswith("SIG") and not name.startswith("SIG_"))
    return next((name for name in names if getattr(c, name) == number), f"signal {number}")


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def _late(_number: int, _frame: FrameType | None) -> None:
    raise TimedOut
