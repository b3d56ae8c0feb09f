"""The features that each function of a file needs, and where."""

from __future__ import annotations

from itertools import chain

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions
from kaiun.cpu.candidates import Candidates, gathered
from kaiun.cpu.elf import Elf
from kaiun.cpu.exact import Code
from kaiun.cpu.found import Found
from kaiun.cpu.functions import Functions

Numbers = npt.NDArray[np.int64]
_TOGETHER = 1 << 16  # candidates that are settled at once, at least
_FEW = 256  # candidates that are tried at once: rounds cost more


def scan(elf: Elf, functions: Functions) -> Found[Code]:
    """Return what each function needs beyond the first x86-64 CPUs."""
    masks: dict[int, int] = {}
    codes = tuple(Code(elf, section, functions) for section in elf.code)
    for code in codes:
        _scan(code, masks)
    return Found(functions, codes, masks)


def _scan(code: Code, masks: dict[int, int]) -> None:
    """Add what the functions of one section need; a function may have begun in another one."""
    blocks = gathered(code.candidates(), _TOGETHER)
    if (block := next(blocks, None)) is None:
        return
    base = code.section.address
    first, last = code.functions.at(np.array([base, base + code.section.size - 1])).tolist()
    sure = np.zeros(last - first + 1, np.int64)
    for end in (first, last):
        sure[end - first] = masks.get(end, 0)
    for found in chain((block,), blocks):
        _settle(code, found, sure, first)
    needing = np.flatnonzero(sure)
    masks |= zip((needing + first).tolist(), sure[needing].tolist(), strict=True)


def _settle(code: Code, found: Candidates, sure: Numbers, first: int) -> None:
    """Try candidates until every feature of every function is found, or no candidate is left.

    All functions are looked at together: one candidate of each, then two of those that are left...
    `sure` has the features of the functions from the one with the number `first` on.
    """
    offset, features = found.offset, found.features
    number = code.functions.of(offset + code.section.address) - first
    count = 1
    while len(offset):
        tried = _first(number, count) if len(offset) > _FEW else np.ones(len(offset), np.bool_)
        _try(code, offset[tried], number[tried], sure, first)
        open_ = np.flatnonzero((features & ~sure[number] != 0) & ~tried)
        offset, features, number = offset[open_], features[open_], number[open_]
        count *= 2


def _first(number: Numbers, count: int) -> npt.NDArray[np.bool_]:
    """Return which candidates are among the first `count` of their function; they come sorted."""
    first = np.ones(len(number), np.bool_)
    first[count:] = number[count:] != number[:-count]
    return first


def _try(code: Code, offset: Numbers, number: Numbers, sure: Numbers, first: int) -> None:
    """Add to `sure`, by function, what the instructions that cover these places need."""
    begin = np.maximum(code.functions.begin[number + first] - code.section.address, 0)
    start = code.coverings(offset, begin)
    needs = instructions.masks()
    codes = code.decoder.codes(start.tolist())
    features = np.fromiter((needs[each] for each in codes), np.int64, len(start))
    inside = code.functions.end[number + first] > offset + code.section.address
    np.bitwise_or.at(sure, number[inside], features[inside])
    for each in np.flatnonzero(~inside & (features != 0)).tolist():
        of, new = int(number[each]), int(features[each])
        if new & ~sure[of] and _plausible(code, int(start[each]), int(begin[each]), of + first):
            sure[of] |= new


def exhaust(elf: Elf, functions: Functions) -> Found[Code]:
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
