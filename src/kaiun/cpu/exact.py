"""Decide which candidates are instructions, by decoding as little as gives certainty.

Of 15 consecutive bytes one begins an instruction, for none is longer. So the candidate is reached
from 15 starts, 48 bytes before it; the chains run into one another after a few instructions, and
where all that arrive agree on what covers the candidate, that is what the CPU executes. Where
they do not agree, the function is decoded from its beginning. iced-x86 decodes in either case.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from kaiun.cpu import instructions
from kaiun.cpu.candidates import PADDING, Candidates, find
from kaiun.cpu.elf import Elf, Section
from kaiun.cpu.functions import Functions

_LONGEST = 15
_RUN_UP = 48  # bytes
_NEAR = 120  # bytes: so close behind the function's beginning decoding from there is cheaper
_LOOK = 512  # bytes around a hit that must look like code, where no table says that it is


@dataclass(slots=True)
class Code:
    """One section's bytes with its functions; offsets count from the section's beginning."""

    elf: Elf
    section: Section
    functions: Functions
    _walks: dict[int, list[int]] = field(default_factory=dict)
    data: bytes = b""
    decoder: instructions.Decoder = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.elf.content(self.section) + bytes(PADDING)
        self.decoder = instructions.Decoder(self.data)

    def candidates(self) -> Candidates:
        return find(np.frombuffer(self.data, np.uint8))

    def covering(self, offset: int, begin: int) -> int:
        """Return where the instruction begins that the byte at `offset` is part of.

        `begin` is where its function does.
        """
        if offset - begin > _NEAR:
            found = self._converge(offset)
            if found is not None:
                return found
        starts = self._walk(begin, offset)
        return starts[bisect_right(starts, offset) - 1]

    def looks_like_code(self, offset: int, begin: int, limit: int) -> bool:
        """Whether what surrounds an instruction is code too: nothing in it is odd."""
        at = offset if begin > offset - _LOOK else self.covering(offset - _LOOK, begin)
        at = begin if begin > offset - _LOOK else at
        while at < min(offset + _LOOK, limit):
            found = self.decoder.at(at)
            if instructions.is_odd(found.code):
                return False
            at += found.len
        return True

    def _converge(self, target: int) -> int | None:
        """Return what covers `target` if all chains agree, else None."""
        at = self.decoder.at
        base = target - _RUN_UP - _LONGEST
        open_ = bytearray(_RUN_UP + _LONGEST + 1)
        open_[:_LONGEST] = b"\1" * _LONGEST
        result = None
        start = open_.find(1)
        while start >= 0:
            found = at(base + start)
            behind = start + found.len
            if found.code:
                if base + behind <= target:
                    open_[behind] = 1
                elif result is not None:
                    return None
                else:
                    result = base + start
            start = open_.find(1, start + 1)
        return result

    def _walk(self, begin: int, offset: int) -> list[int]:
        """Return where the instructions from `begin` on begin, as far as `offset` at least."""
        starts = self._walks.setdefault(begin, [begin])
        at, here = self.decoder.at, starts[-1]
        while here <= offset:
            here += at(here).len or 1
            starts.append(here)
        return starts
