"""The last lines of a container that died, with stack traces cut short. Pure.

Ruby, Java and Python print a trace as one line that says what happened and dozens that say where,
indented or (Sidekiq) of the form "file:line:in `method'": uncut, the last twenty lines of a log
would be frames alone, without the cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

FRAMES_SHOWN = 4
START_FAILED = "kaiun: start failed"  # what kaiun/entry/failure.py begins its one line with
FRAME = re.compile(r"[ \t]|\S+:\d+:in [`'].*'$")


def fold(lines: Iterable[str]) -> list[str]:
    """Return the lines with each long run of frames cut after its first few."""
    folded: list[str] = []
    for is_frame, run in groupby(lines, key=lambda line: FRAME.match(line) is not None):
        block = list(run)
        hidden = len(block) - FRAMES_SHOWN
        if is_frame and hidden > 1:
            block[FRAMES_SHOWN:] = [f"\t… {hidden} more lines"]
        folded += block
    return folded


def last_words(lines: Iterable[str], limit: int) -> tuple[str, ...]:
    """Return the last `limit` lines after folding."""
    return tuple(fold(lines)[-limit:])


def start_failure(lines: Sequence[str]) -> str:
    """Return the line in which kaiun's entry told why the container did not start, else ""."""
    return next((line for line in reversed(lines) if line.startswith(START_FAILED)), "")
