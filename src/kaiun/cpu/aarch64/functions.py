"""The functions of a file for AArch64, and what each of them needs.

Code written in assembly has often neither unwind tables nor, once stripped, symbols; Go's programs
have none. What is called or pointed at there begins a function too, so that its instructions are
not taken for those of the function before it; in a file without unwind tables also what stands
behind the zeros that fill up to 16 bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaiun.cpu import functions
from kaiun.cpu.aarch64.words import Words, branches, ends
from kaiun.cpu.elf import Elf
from kaiun.cpu.found import Found
from kaiun.cpu.functions import Functions

Numbers = npt.NDArray[np.int64]
_ALIGNED = 16  # bytes


def scan(elf: Elf) -> Found[Words]:
    """Return what each function needs beyond Armv8.0-A; no functions where none needs anything."""
    codes = tuple(Words(elf, section) for section in elf.code)
    if not any(len(code.above[0]) for code in codes):
        nothing = np.empty(0, np.int64)
        return Found(Functions(nothing, nothing, elf), codes, {})
    known = find(elf, codes)
    needed = np.zeros(len(known.begin), np.int64)
    for code in codes:
        place, mask = code.above
        real = code.is_code(place, known)
        np.bitwise_or.at(needed, known.of(code.address(place[real])), mask[real])
    above = np.flatnonzero(needed)
    return Found(known, codes, dict(zip(above.tolist(), needed[above].tolist(), strict=True)))


def find(elf: Elf, codes: tuple[Words, ...]) -> Functions:
    """Return the functions from symbols, unwind tables, calls, and addresses taken."""
    known = functions.find(elf)
    parts = [_pointed(elf), *(_called(code) for code in codes)]
    if elf.section(".eh_frame_hdr") is None:
        parts += [_filled_up(code) for code in codes]
    told = np.unique(np.concatenate(parts))
    number = known.at(told)
    more = told[(number >= 0) & (known.end[number] <= told) & (told % 4 == 0)]
    begin, end = np.concatenate((known.begin, more)), np.concatenate((known.end, more))
    return functions.merged(elf, begin, end)


def _called(code: Words) -> Numbers:
    """Return the targets of calls, and the addresses that are made."""
    at, target = branches(code.words)[0]
    calls = code.words[at] >> 31 == 1
    return np.concatenate((code.address(target[calls]), code.pointers.made))


def _filled_up(code: Words) -> Numbers:
    """Return the addresses behind zeros that follow an instruction at which control ends."""
    zero = code.words == 0
    begins = np.flatnonzero(~zero[1:] & zero[:-1]) + 1
    fills = np.flatnonzero(zero[1:] & ~zero[:-1])  # the last words before zeros
    before = np.searchsorted(fills, begins) - 1
    begins, before = begins[before >= 0], fills[before[before >= 0]]
    addresses = code.address(begins)
    aligned: Numbers = addresses[ends(code.words[before]) & (addresses % _ALIGNED == 0)]
    return aligned


def _pointed(elf: Elf) -> Numbers:
    """Return the addresses that the dynamic linker writes into memory."""
    table = elf.relocations
    pointed: Numbers = table["addend"][table["type"] == elf.relocation.relative].astype(np.int64)
    return pointed
