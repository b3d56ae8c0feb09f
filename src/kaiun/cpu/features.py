"""The features that each function of a file needs, and where."""

from __future__ import annotations

from dataclasses import dataclass

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
    function, begin, sure = -1, 0, 0
    for number, wanted, offset, inside in rows:
        if number != function:
            function, sure = number, masks.get(number, 0)
            begin = max(0, int(code.functions.begin[number]) - base)
        if not wanted & ~sure:
            continue
        start = code.covering(offset, begin)
        features = of_code[decode(start).code]
        if features & ~sure and (inside or _plausible(code, start, begin, number)):
            sure |= features
            masks[number] = sure


def _plausible(code: Code, offset: int, begin: int, number: int) -> bool:
    limit = min(code.functions.limit(number) - code.section.address, code.section.size)
    return code.looks_like_code(offset, begin, limit)
