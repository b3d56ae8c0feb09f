"""A program on a terminal of its own, looked at and typed into."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence

from support.engine import DEADLINE_S


class Screen:
    """Starts a program whose terminal has `size` (columns, rows); close() ends it."""

    def __init__(
        self,
        words: Sequence[str],
        env: dict[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(*size, tell=False)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **(env or {})},
        )
        os.close(slave)
        self.text = ""

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def shows(self, text: str) -> str:
        """Wait for a text after all that was waited for before; return what came until there."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.text:
            assert time.monotonic() < end, f"no {text!r} in {self.text!r}"
            assert self._more(), f"ended without {text!r}: {self.text!r}"
        before, found, self.text = self.text.partition(text)
        return before + found

    def ends(self) -> int:
        """Return the program's exit code, when it has ended."""
        while self._more():
            pass
        return self.process.wait(timeout=DEADLINE_S)

    def is_raw(self) -> bool:
        """Return whether keys reach the program one at a time and without an echo."""
        flags: int = termios.tcgetattr(self._master)[3]
        return not flags & (termios.ECHO | termios.ICANON)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def _more(self) -> bool:
        """Read what comes within the deadline; return False at the end."""
        ready, _, _ = select.select([self._master], [], [], DEADLINE_S)
        assert ready, f"nothing comes after {self.text!r}"
        with contextlib.suppress(OSError):  # EIO: the program has ended
            data = os.read(self._master, 4096)
            self.text += data.decode("utf-8", "replace")
            return bool(data)
        return False
