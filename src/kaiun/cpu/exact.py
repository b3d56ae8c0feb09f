"""Decide which candidates are instructions, by decoding as little as gives certainty.

Of 15 consecutive bytes one begins an instruction, for none is longer. So the candidate is reached
from 15 starts, 48 bytes and more before it; the chains run into one another after a few
instructions, and where all that arrive agree on what covers the candidate, that is what the CPU
executes. Where they do not agree, the function is decoded from its beginning. iced-x86 decodes;
where many are asked for, `chains` tells of most of them which instruction it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kaiun.cpu import chains, instructions
from kaiun.cpu.candidates import PADDING, Candidates, find
from kaiun.cpu.elf import Elf, Section
from kaiun.cpu.functions import Functions

Numbers = npt.NDArray[np.int64]
_LONGEST = 15
_RUN_UPS = (48, 240, 1200, 6000)  # bytes; a longer one where the chains do not agree
_NEAR = 72  # bytes more: so close behind the function's beginning decoding from there is cheaper
_ZEROS = bytes(8)  # as instructions they make no sense
_FAR = 1 << 16  # bytes: farther than any function's beginning
_LOOK = 512  # bytes around a hit that must look like code, where no table says that it is


@dataclass(slots=True)
class Code:
    """One section's bytes with its functions; offsets count from the section's beginning."""

    elf: Elf
    section: Section
    functions: Functions
    data: bytes = b""
    decoder: instructions.Decoder = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.elf.content(self.section, PADDING)
        self.decoder = instructions.Decoder(self.data)

    def candidates(self) -> Iterator[Candidates]:
        return find(self.data)

    def covering(self, offset: int, begin: int) -> int:
        """Return where the instruction begins that the byte at `offset` is part of; -1 in data.

        `begin` is an instruction's beginning before it: the function's, or one found already.
        What chains of thousands of bytes do not agree on is data: zeros keep two chains apart.
        """
        for run_up in _RUN_UPS:
            if offset - begin <= run_up + _NEAR:
                break
            if (found := self._converge(offset, run_up)) is not None:
                return found
        else:
            if offset - begin > _FAR:
                return -1
        return self.decoder.last(begin, offset)

    def coverings(self, offset: Numbers, begin: Numbers) -> Numbers:
        """Return what `covering` does, for many."""
        found = chains.covering(np.frombuffer(self.data, np.uint8), offset, begin)
        anchor, function = 0, -1
        for each in np.flatnonzero(found < 0).tolist():
            if begin[each] != function:
                anchor = function = int(begin[each])
            found[each] = start = self.covering(int(offset[each]), anchor)
            anchor = max(anchor, start)
        return found

    def looks_like_code(self, offset: int, begin: int, limit: int) -> bool:
        """Whether what surrounds an instruction is code too: nothing in it is odd."""
        at = begin if begin > offset - _LOOK else self.covering(offset - _LOOK, begin)
        if at < 0 or _ZEROS in self.data[at : min(offset + _LOOK, limit)]:
            return False
        while at < min(offset + _LOOK, limit):
            found = self.decoder.at(at)
            if instructions.is_odd(found.code):
                return False
            at += found.len
        return True

    def _converge(self, target: int, run_up: int) -> int | None:
        """Return what covers `target` if all chains agree, else None."""
        decoder, found = self.decoder.raw, self.decoder.found
        base = target - run_up - _LONGEST
        open_ = bytearray(run_up + _LONGEST + 1)
        open_[:_LONGEST] = b"\1" * _LONGEST
        result, start = -1, 0
        while start >= 0:
            decoder.position = base + start
            decoder.decode_out(found)
            if found.code:
                behind = start + found.len
                if base + behind <= target:
                    open_[behind] = 1
                elif result >= 0:
                    return None
                else:
                    result = base + start
            start = open_.find(1, start + 1)
        return result if result >= 0 else None
