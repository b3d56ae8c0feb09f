"""What a terminal's owner does to it while a session is held."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

from support.engine import DEADLINE_S

HOLDER = """
from kaiun.session.terminal import Terminal

class Line:
    def resize(self, columns, rows):
        sizes.append((columns, rows))

sizes = []
terminal, line = Terminal(lambda data: data), Line()
with terminal.raw():
    while len(sizes) < 20_000:
        terminal.look(line)
print(set(sizes))
"""


def test_session_goes_on_however_often_the_size_changes() -> None:
    """A signal handler that takes a lock would wait for the thread that it interrupted."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + DEADLINE_S
    while holder.poll() is None and time.monotonic() < end:
        holder.send_signal(signal.SIGWINCH)
    holder.kill()
    assert holder.communicate() == (b"{(101, 33)}\n", b"")
    os.close(slave)
    os.close(master)
