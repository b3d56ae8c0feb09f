"""Faces of a session: this terminal, raw, or a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from kaiun.session.line import Line
from kaiun.session.remote import END_OF_INPUT, LINE, Remote, pack

NO_SIZE = (300, 100)  # where there is no terminal: as session-manager-plugin has it
_AT_ONCE = LINE * 64  # bytes of input that are read at a time


class _Reader(threading.Thread):
    """Reads standard input until the session is over, and sends what it reads."""

    def __init__(self, line: Line, fd: int) -> None:
        super().__init__(name="session input", daemon=True)
        self._line, self._fd = line, fd

    def run(self) -> None:
        while not self._line.over:
            ready, _, _ = select.select([self._fd], [], [], 0.1)
            if ready and not self._pass_on(os.read(self._fd, _AT_ONCE)):
                return

    def _pass_on(self, data: bytes) -> bool:
        self._line.enter(data)
        return bool(data)


class _Packer(_Reader):
    """Sends input as `Remote` wants that of a pipe, and its end."""

    def _pass_on(self, data: bytes) -> bool:
        self._line.enter(pack(data) if data else END_OF_INPUT)
        return bool(data)


class Terminal:
    """This terminal: every key goes to the container, and the size when it changes."""

    def __init__(self, read: Callable[[bytes], bytes], fd: int = 0, out: int = 1) -> None:
        """`read` says what of the output is to be seen: Remote.read."""
        self._read, self._fd, self._out = read, fd, out
        self._resized = False  # no Event: a signal while it is cleared would wait for its lock

    def begin(self, line: Line) -> None:
        self._resized = True
        self.look(line)
        _Reader(line, self._fd).start()

    def show(self, data: bytes) -> None:
        _write(self._out, self._read(data))

    def look(self, line: Line) -> None:
        if self._resized:
            self._resized = False
            with contextlib.suppress(OSError):
                line.resize(*os.get_terminal_size(self._fd))

    @contextlib.contextmanager
    def raw(self) -> Iterator[None]:
        """Hand keys and signals on for as long as the session lasts."""
        before = termios.tcgetattr(self._fd)
        told = signal.signal(signal.SIGWINCH, self._note_size)
        tty.setraw(self._fd, termios.TCSADRAIN)  # what was typed ahead stays
        try:
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)
            signal.signal(signal.SIGWINCH, told)

    def _note_size(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = True


class Pipe:
    """Input that is no terminal; output comes as the command wrote it."""

    def __init__(self, remote: Remote, fd: int = 0, out: int = 1) -> None:
        self._remote, self._fd, self._out = remote, fd, out
        self._packer: _Packer | None = None

    def begin(self, line: Line) -> None:
        line.resize(*NO_SIZE)

    def show(self, data: bytes) -> None:
        _write(self._out, self._remote.read(data))

    def look(self, line: Line) -> None:
        if self._packer is None and self._remote.ready:
            self._packer = _Packer(line, self._fd)
            self._packer.start()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def is_terminal() -> bool:
    """Return whether there is somebody at a terminal on both sides."""
    return sys.stdin.isatty() and sys.stdout.isatty()
