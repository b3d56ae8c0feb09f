"""How a start fails: one line, and an exit code of its own.

 64   start.json, KAIUN_ENVIRONMENT or the command line make no sense
 65   require      66   fetch      67   secrets      68   templates
 69   assets       70   wait       71   hooks, where a hook could not run to its end
  n   hooks: what the hook itself ended with
 79   a bug of kaiun
126   the command cannot be executed      127   there is no such command
143   SIGTERM during a step (130 SIGINT, 129 SIGHUP, 131 SIGQUIT)
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LINE_BYTES_MAX = 255  # Amazon ECS cuts a container's `reason` there
PREFIX = "kaiun: start failed"
MASK = "•••"
MASKED_MIN = 4
SETTINGS, BUG, NOT_EXECUTABLE, NOT_FOUND = 64, 79, 126, 127
EXIT_CODES = {
    "require": 65,
    "fetch": 66,
    "secrets": 67,
    "templates": 68,
    "assets": 69,
    "wait": 70,
    "hooks": 71,
}


class Failure(Exception):
    """A start that cannot go on. `item` is what the step was about: a file, a variable, a host."""

    def __init__(self, why: str, *, item: str = "", step: str = "", code: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.item = item
        self.step = step
        self.code = code

    @property
    def exit_code(self) -> int:
        """Return the code that the container ends with."""
        return self.code or EXIT_CODES.get(self.step, SETTINGS)

    def line(self, hide: Iterable[str] = ()) -> str:
        """Return the one line, without the values in `hide`, short enough for ECS."""
        place = " ".join(part for part in (self.step, self.item) if part)
        text = f"{PREFIX} at {place}: {self.why}" if place else f"{PREFIX}: {self.why}"
        return shorten(masked(" ".join(text.split()), hide))


def masked(text: str, hide: Iterable[str]) -> str:
    """Return the text without those values; very short ones would hide half of every text."""
    for value in sorted(hide, key=len, reverse=True):
        if len(value) >= MASKED_MIN:
            text = text.replace(value, MASK)
    return text


def shorten(text: str, limit: int = LINE_BYTES_MAX) -> str:
    """Return text of at most `limit` bytes of UTF-8; what is cut is shown by an ellipsis."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"


def say(line: str) -> None:
    """Write one line to standard error, in one piece."""
    try:
        os.write(2, line.encode("utf-8", "replace") + b"\n")
    except OSError:
        return  # nobody listens any more
