"""The words of code, and which functions need what.

Every word of a function whose end is known is an instruction, but for what mapping symbols ($d)
and loads relative to the program counter tell to be data. Behind such ends, and where an end is
not known (code written in assembly), there may be tables of constants: there a word counts only
where control can get to it, from a function's beginning or the target of a branch.
Source of mapping symbols: ELF for the Arm 64-bit Architecture (AAELF64), 5.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from kaiun.cpu.aarch64 import encodings
from kaiun.cpu.aarch64.pointers import Pointers, find
from kaiun.cpu.elf import Elf, Section
from kaiun.cpu.functions import Functions

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_CHUNK = 1 << 18  # words looked at together: they stay in the cache
_LITERALS = 0x3B000000, 0x18000000  # LDR (literal)
_LITERAL_WORDS = np.array([1, 2, 1, 0, 1, 2, 4, 0])  # by V and opc


@dataclass
class Words:
    """One section's instructions, as numbers; places are indexes of words."""

    elf: Elf
    section: Section

    def __post_init__(self) -> None:
        view = self.elf.view(self.section)
        self.base = self.section.address
        self.words = np.frombuffer(view[: len(view) // 4 * 4], "<u4")

    def address(self, place: Numbers) -> Numbers:
        return place * 4 + self.base

    @cached_property
    def above(self) -> tuple[Numbers, Numbers]:
        """Return the places of words above Armv8.0-A, and their features as bits."""
        places, masks = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for start in range(0, len(self.words), _CHUNK):
            chunk = self.words[start : start + _CHUNK]
            near = encodings.candidates(chunk)
            mask = encodings.needs(chunk[near])
            real = mask != 0
            places.append(near[real] + start)
            masks.append(mask[real])
        return np.concatenate(places), np.concatenate(masks)

    @cached_property
    def pointers(self) -> Pointers:
        return find(self.words, self.base)

    def is_code(self, place: Numbers, functions: Functions) -> Flags:
        """Return which of some places, sorted, are instructions, not data."""
        if not len(place):
            return np.empty(0, np.bool_)
        told = self._told(place)
        number = functions.of(self.address(place))
        behind = np.flatnonzero((functions.end[number] <= self.address(place)) & told)
        if len(behind):
            told[behind] = self._reached(place[behind], number[behind], functions)
        return told

    def _reached(self, place: Numbers, number: Numbers, functions: Functions) -> Flags:
        """Return to which places control gets from a target before them, past no end between.

        From the target to the next return every word has to be an instruction: a fifth of all words
        are none, so that a table of constants, whose address is taken as a function's, has some.
        """
        begin = np.clip(functions.begin - self.base, 0, None) // 4
        known = np.clip(functions.end - self.base, 0, None) // 4
        returns = np.flatnonzero(_returns(self.words))
        before = np.append(-1, np.flatnonzero(ends(self.words)))
        last = before[np.searchsorted(before, place) - 1] + 1
        last = np.maximum.reduce([last, begin[number], known[number]])
        open_ = begin[functions.end <= functions.begin]
        jumps = [target for _, target in branches(self.words)]
        targets = np.unique(np.concatenate(([-1], open_, *jumps)))
        target = targets[np.searchsorted(targets, place, side="right") - 1]
        stop = np.append(returns, len(self.words) - 1)[np.searchsorted(returns, place)]
        undefined = np.append(0, np.cumsum(_undefined(self.words)))
        found: Flags = (target >= last) & (undefined[stop + 1] == undefined[np.maximum(target, 0)])
        return found

    def _told(self, place: Numbers) -> Flags:
        """Return which places no mapping symbol, nor a load of a literal, tells to be data."""
        mapped, is_data = self._mapped
        at = np.searchsorted(mapped, self.address(place), side="right") - 1
        found: Flags = ~is_data[at] & ~np.isin(place, self._literals)
        return found

    @cached_property
    def _mapped(self) -> tuple[Numbers, Flags]:
        """Return the addresses of mapping symbols, sorted, and which of them begin data.

        The first one is the section's beginning, where there is code.
        """
        values, kinds = [np.array([self.base])], [np.zeros(1, np.bool_)]
        data = np.frombuffer(self.elf.data, np.uint8)
        for symbols in self.elf.symbols:
            name = np.minimum(symbols.table["name"].astype(np.int64) + symbols.start, len(data) - 3)
            letter, end = data[name + 1], data[name + 2]
            chosen = (data[name] == ord("$")) & ((letter == ord("x")) | (letter == ord("d")))
            chosen &= ((end == 0) | (end == ord("."))) & (symbols.table["section"] != 0)
            values.append(symbols.table["value"][chosen].astype(np.int64))
            kinds.append(letter[chosen] == ord("d"))
        value, is_data = np.concatenate(values), np.concatenate(kinds)
        inside = (value >= self.base) & (value < self.section.end)
        value, is_data = value[inside], is_data[inside]
        order = np.argsort(value, kind="stable")
        return value[order], is_data[order]

    @cached_property
    def _literals(self) -> Numbers:
        """Return the places that instructions load from by their distance."""
        mask, value = _LITERALS
        at = np.flatnonzero(self.words & np.uint32(mask) == value)
        word = self.words[at]
        first = at + signed(word >> 5, 19)
        count = _LITERAL_WORDS[(word >> 26 & 1) * 4 + (word >> 30)]
        return np.concatenate([first[count > n] + n for n in range(4)])


def branches(words: npt.NDArray[np.uint32]) -> list[tuple[Numbers, Numbers]]:
    """Return the places of direct branches and calls, and the places that they go to, by kind."""
    found = []
    for masks, shift, bits in _BRANCHES:
        fits = np.zeros(len(words), np.bool_)
        for mask, value in masks:
            fits |= words & np.uint32(mask) == value
        at = np.flatnonzero(fits)
        found.append((at, at + signed(words[at] >> shift, bits)))
    return found


# B and BL; B.cond, CBZ and CBNZ; TBZ and TBNZ: where the distance is, and how many bits it has.
_BRANCHES = (
    (((0x7C000000, 0x14000000),), 0, 26),
    (((0xFF000000, 0x54000000), (0x7E000000, 0x34000000)), 5, 19),
    (((0x7E000000, 0x36000000),), 5, 14),
)


def signed(words: npt.NDArray[Any], bits: int) -> Numbers:
    """Return the lowest bits of each word as a signed number."""
    low = words.astype(np.int64) & (1 << bits) - 1
    return (low ^ 1 << bits - 1) - (1 << bits - 1)


def _undefined(words: npt.NDArray[np.uint32]) -> Flags:
    """Return which words are no instructions by their main group: unallocated, or UDF."""
    group = words >> 25 & 15
    found: Flags = (group == 1) | (group == 3) | ((group == 0) & (words >> 31 == 0))
    return found


def ends(words: npt.NDArray[np.uint32]) -> Flags:
    """Return behind which words control does not go on: jumps, returns, BRK, UDF."""
    jump = words & np.uint32(0xFC000000) == 0x14000000
    found: Flags = jump | _returns(words) | (words >> 16 == 0)
    return found


def _returns(words: npt.NDArray[np.uint32]) -> Flags:
    """Return which words are RET, BR or BRK, which data seldom is."""
    indirect = (words & np.uint32(0xFE9FF000) == 0xD61F0000) & (words >> 21 & 3 != 1)
    found: Flags = indirect | (words & np.uint32(0xFFE00000) == 0xD4200000)
    return found
