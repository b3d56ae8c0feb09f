"""The last lines of a container that died, with stack traces cut short. Pure.

Ruby, Java and Python print a trace as one line that says what happened and dozens of indented ones
that say where: uncut, the last twenty lines of a log would be frames alone, without the cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

FRAMES_SHOWN = 4


def fold(lines: Iterable[str]) -> list[str]:
    """Return the lines with each long run of indented ones cut after its first few."""
    folded: list[str] = []
    for indented, run in groupby(lines, key=lambda line: line[:1] in {" ", "\t"}):
        block = list(run)
        hidden = len(block) - FRAMES_SHOWN
        if indented and hidden > 1:
            block[FRAMES_SHOWN:] = [f"\t… {hidden} more lines"]
        folded += block
    return folded


def last_words(lines: Iterable[str], limit: int) -> tuple[str, ...]:
    """Return the last `limit` lines after folding."""
    return tuple(fold(lines)[-limit:])
