"""Show a build while it runs: one line per step on a terminal's last line, or plain lines."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.cli.console import Console
    from kaiun.image import BuildEvent

KEPT = 6


class Building:
    """A listener for BuildEvents; called from the threads that build."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lock = threading.Lock()
        self._recent: deque[str] = deque(maxlen=KEPT)

    def __call__(self, event: BuildEvent) -> None:
        if (event.phase, event.state) == ("push", "output"):
            return  # layer by layer: noise
        with self._lock:
            if line := _line(event):
                self.console.faint(line)


def _line(event: BuildEvent) -> str:
    name = f"{event.image}: " if event.image else ""
    place = f"[{event.stage} {event.step}/{event.total}] " if event.total else ""
    match event.phase, event.state:
        case "note", _:
            return f"{name}{event.line}"
        case _, "output":
            return f"{name}  {event.line.rstrip()}" if event.line.strip() else ""
        case _, "started":
            return f"{name}{place}{event.name or event.line}"
        case _, "cached":
            return f"{name}{place}{event.name} (cached)"
        case _, "done" if event.seconds >= 1:
            return f"{name}{place}{event.name}: {event.seconds:.1f} s"
        case _:
            return ""
