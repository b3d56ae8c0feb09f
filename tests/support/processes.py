"""Which processes of this machine name a word: what a build, or a connection, left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def named(word: str) -> Iterator[tuple[int, str]]:
    """Yield process id and command line of those that hold `word`, ours excepted."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if word in line and path.parent.name != str(os.getpid()):
                yield int(path.parent.name), line


def running(word: str) -> list[str]:
    """Return the command lines that hold `word`."""
    return [line for _, line in named(word)]


def pids(word: str) -> list[int]:
    """Return the processes whose command line holds `word`."""
    return [pid for pid, _ in named(word)]
