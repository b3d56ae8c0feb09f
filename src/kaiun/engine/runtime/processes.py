"""Processes of containers as this machine sees them, through /proc, which anybody may read."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_PROC = Path("/proc")
_SESSION = 3  # position in /proc/PID/stat behind the name, which may hold anything: proc(5)


def session_of(leader: int) -> list[int]:
    """Return the numbers of all processes in the session that a process leads."""
    found = [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    return [pid for pid in found if _session(pid) == leader]


def pid_inside(pid: int) -> int:
    """Return the number that a process has in its own container."""
    with contextlib.suppress(OSError):
        status = (_PROC / str(pid) / "status").read_text()
        if found := re.search(r"^NSpid:.*\s(\d+)$", status, re.MULTILINE):
            return int(found[1])
    return pid


def _session(pid: int) -> int:
    """Return the session of a process; 0 when it has ended, a zombie too."""
    with contextlib.suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] == "Z" else int(fields[_SESSION])
    return 0
