"""The features that each function of a file needs, and where."""

from __future__ import annotations

from dataclasses import dataclass

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions
from kaiun.cpu.elf import Elf
from kaiun.cpu.exact import Code
from kaiun.cpu.functions import Functions

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """`masks` maps the number of a function to the features it needs (instructions.CHECK too)."""

    functions: Functions
    codes: tuple[Code, ...]
    masks: dict[int, int]


def scan(elf: Elf, functions: Functions) -> Found:
    """Return what each function needs beyond the first x86-64 CPUs."""
    masks: dict[int, int] = {}
    codes = tuple(Code(elf, section, functions) for section in elf.code)
    for code in codes:
        _scan(code, masks)
    return Found(functions, codes, masks)


def _scan(code: Code, masks: dict[int, int]) -> None:
    """Try candidates until every feature of every function is found, or no candidate is left."""
    found = code.candidates()
    addresses = found.offset + code.section.address
    numbers = code.functions.at(addresses)
    known = code.functions.known(addresses)
    rows = zip(
        numbers.tolist(),
        found.features.tolist(),
        found.offset.tolist(),
        known.tolist(),
        strict=True,
    )
    decode, of_code = code.decoder.at, instructions.masks()
    base = code.section.address
    function, begin, anchor, sure = -1, 0, 0, 0
    for number, wanted, offset, inside in rows:
        if number != function:
            function, sure = number, masks.get(number, 0)
            begin = anchor = max(0, int(code.functions.begin[number]) - base)
        if not wanted & ~sure:
            continue
        start = code.covering(offset, anchor)
        if start < 0:
            continue
        anchor = start
        features = of_code[decode(anchor).code]
        if features & ~sure and (inside or _plausible(code, anchor, begin, number)):
            sure |= features
            masks[number] = sure


def exhaust(elf: Elf, functions: Functions) -> Found:
    """Return what `scan` returns, by decoding every byte: for tests and benches."""
    masks: dict[int, int] = {}
    codes = tuple(Code(elf, section, functions) for section in elf.code)
    for code in codes:
        base, size = code.section.address, code.section.size
        first, last = functions.at(np.array([base, base + size - 1])).tolist()
        for number in range(first, last + 1):
            begin = max(0, int(functions.begin[number]) - base)
            limit = min(functions.limit(number) - base, size)
            known = int(functions.end[number]) - base
            if mask := _decoded(code, begin, limit, known):
                masks[number] = mask
    return Found(functions, codes, masks)


def _decoded(code: Code, begin: int, limit: int, known: int) -> int:
    of_code = instructions.masks()
    at, mask = begin, 0
    for each in iced.Decoder(64, code.data[begin:limit]):
        if (features := of_code[each.code]) & ~mask and (
            at < known or code.looks_like_code(at, begin, limit)
        ):
            mask |= features
        at += each.len
    return mask


def _plausible(code: Code, offset: int, begin: int, number: int) -> bool:
    limit = min(code.functions.limit(number) - code.section.address, code.section.size)
    return code.looks_like_code(offset, begin, limit)
