"""Addresses that code makes: ADR, and ADRP with the ADD, load or store that completes it.

ADRP gives the page, of 4 KiB, and an instruction behind it the rest; compilers let others stand
between the two, and use one ADRP for several. So the register is followed for some instructions,
as they stand in memory, until something else is written to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
_NEAR = 24  # instructions behind an ADRP that are looked at
_PAGE = 12
_SCRATCH = 19  # a call may change the registers below this one (AAPCS64, 6.1.1)


@dataclass(frozen=True, slots=True)
class Pointers:
    """The instructions (indexes of words) that make an address or use memory there."""

    at: Numbers
    address: Numbers
    is_made: npt.NDArray[np.bool_]  # in a register, by ADR or ADD; else memory there is used

    @property
    def made(self) -> Numbers:
        return self.address[self.is_made]


def find(words: Words, base: int) -> Pointers:
    """Return the addresses that code at `base` makes."""
    near = _near(words, base)
    at, page, register = _pages(words, base)
    parts = [(*near, np.ones(len(near[0]), np.bool_))]
    for step in range(1, _NEAR + 1):
        keep = at + step < len(words)
        at, page, register = at[keep], page[keep], register[keep]
        if not len(at):
            break
        word = words[at + step]
        uses, made, offset = _completes(word, register)
        parts.append(((at + step)[uses], (page + offset)[uses], made[uses]))
        lives = ~_overwrites(word, register)
        at, page, register = at[lives], page[lives], register[lives]
    places, addresses, made_ones = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Pointers(places, addresses, made_ones)


def _near(words: Words, base: int) -> tuple[Numbers, Numbers]:
    """Return the places of ADR, and the addresses that they make."""
    at = np.flatnonzero(words & np.uint32(0x9F000000) == 0x10000000)
    return at, at * 4 + base + _distance(words[at])


def _pages(words: Words, base: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return the places of ADRP, their pages, and the registers that get them."""
    at = np.flatnonzero(words & np.uint32(0x9F000000) == 0x90000000)
    word = words[at]
    page = ((at * 4 + base >> _PAGE) + _distance(word)) << _PAGE
    return at, page, (word & 31).astype(np.int64)


def _distance(words: Words) -> Numbers:
    """Return the 21 bits, signed, that ADR and ADRP add."""
    low, high = (words >> 29 & 3).astype(np.int64), (words >> 5 & 0x7FFFF).astype(np.int64)
    return ((high << 2 | low) ^ 1 << 20) - (1 << 20)


def _completes(
    word: Words, register: Numbers
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Numbers]:
    """Return which words complete an address in `register`, which of them make it, by how much."""
    made = word & np.uint32(0xFFC00000) == 0x91000000  # ADD of 64 bits, not shifted
    memory = word & np.uint32(0x3B000000) == 0x39000000  # load or store, unsigned offset
    based = (word >> 5 & 31) == register
    scale = (word >> 30).astype(np.int64)
    scale += 4 * ((word >> 26 & 1) & (word >> 23 & 1)).astype(np.int64)  # registers of 128 bits
    offset = (word >> 10 & 0xFFF).astype(np.int64) << np.where(memory, scale, 0)
    return (made | memory) & based, made, offset


def _overwrites(word: Words, register: Numbers) -> npt.NDArray[np.bool_]:
    """Return which words write to `register`, as far as that is told by where they name it."""
    memory = word >> 25 & 5 == 4
    general = word >> 26 & 1 == 0
    loads = memory & general & (word >> 22 & 3 != 0)
    computes = (word >> 26 & 7 == 4) | (word >> 25 & 7 == 5)  # with an immediate, with registers
    named = (word & 31).astype(np.int64) == register
    called = (word & np.uint32(0xFC000000) == 0x94000000) & (register < _SCRATCH)
    found: npt.NDArray[np.bool_] = (loads | computes) & named | called
    return found
