"""Which instruction covers a byte, for many bytes at once: chains of instructions in numpy.

Of 15 consecutive bytes one begins an instruction, for none is longer. Chains that begin at all of
them, and end in the same place, leave no doubt. Most agree after a few instructions, so a short
way is tried first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaiun.cpu import lengths

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

RUN_UPS = (31, 95)  # bytes before the byte asked for, the 15 where chains begin among them
_STARTS = 15
WORTH = 12  # bytes asked for that make it worth it
_PLACES = 1 << 14  # where chains are followed together: stays in the second level cache


def covering(code: Bytes, offset: Numbers, begin: Numbers) -> Numbers:
    """Return where the instruction begins that covers the byte at each offset; -1: not known.

    `begin`, an instruction's beginning, is begun from where it is near; else 15 chains have to
    agree. `code` goes on for 16 bytes behind the last offset. Fewer than WORTH are not looked at:
    the decoder is quicker.
    """
    found = np.full(len(offset), -1)
    for run_up in RUN_UPS:
        left, count = np.flatnonzero(found < 0), _PLACES // run_up
        if len(left) < WORTH:
            break
        for start in range(0, len(left), count):
            some = left[start : start + count]
            found[some] = _covering(code, offset[some], begin[some], run_up)
    return found


def _covering(code: Bytes, offset: Numbers, begin: Numbers, run_up: int) -> Numbers:
    first = np.maximum(offset - run_up, 0)
    size = run_up + 1 + lengths.BEHIND
    if len(code) < size:
        code = np.concatenate((code, np.zeros(size, np.uint8)))
    windows = np.lib.stride_tricks.sliding_window_view(code, size)[first]
    length = lengths.of_window(np.ascontiguousarray(windows.T))
    rows, width = length.shape
    ends = _ends(length, offset - first)
    starts = ends.take(ends[:_STARTS])
    near = np.flatnonzero(begin >= first)
    starts[:, near] = ends.take(ends[(begin - first)[near], near])
    nowhere = (starts >= rows * width) & (starts < (rows + 1) * width)
    highest = np.where(nowhere, 0, starts).max(axis=0)
    agreed = (starts.min(axis=0) == highest) & (highest < rows * width)
    return np.where(agreed, first + highest // width, -1)


def _ends(length: Bytes, target: Numbers) -> Numbers:
    """Return from each place, by row and column as one number, a place more than half the way on.

    What covers the target leads to itself. Two more rows are where the tables do not lead on: the
    first for what is no instruction, the second for what is not known.
    """
    rows, width = length.shape
    place = np.arange((rows + 2) * width).reshape(rows + 2, width)
    on = np.arange(rows)[:, None] + length
    ends = place.copy()
    ends[:rows] += np.where(on <= target, length, 0) * np.int64(width)
    ends[:rows] = np.where(length == lengths.INVALID, place[rows], ends[:rows])
    ends[:rows] = np.where(length == lengths.UNKNOWN, place[rows + 1], ends[:rows])
    for _ in range((rows - 1).bit_length() - 1):
        ends = ends.take(ends)
    return ends
