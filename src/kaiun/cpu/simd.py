"""The VEX share: of the functions that use vectors, how many use AVX's encoding of them.

With AVX on, GCC and clang write every vector instruction with VEX, also those that SSE2 has: a
library that was compiled as a whole for AVX has a share near 1. One that chooses at run time has
a few functions for AVX among many for SSE2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaiun.cpu.exact import Code
from kaiun.cpu.found import Found
from kaiun.cpu.instructions import is_vector
from kaiun.cpu.levels import BIT
from kaiun.cpu.verdict import CONTAMINATED

Numbers = npt.NDArray[np.int64]
_VECTOR = sum(BIT[name] for name in ("avx", "avx2", "fma", "f16c", "avx512f", "xop", "fma4"))


@dataclass(frozen=True, slots=True)
class Share:
    """Functions with vectors in AVX's encoding, and with SSE's only.

    Counting `sse` ends where the share cannot be that of a contaminated file any more.
    """

    vex: int
    sse: int


def share(found: Found[Code]) -> Share:
    """Return the share of a file whose functions are known."""
    vex = {number for number, mask in found.masks.items() if mask & _VECTOR}
    if not vex:
        return Share(0, 0)
    enough = int(len(vex) * (1 / CONTAMINATED - 1)) + 1
    count = 0
    for code in found.codes:
        count += _count_sse(code, vex, enough - count)
        if count >= enough:
            break
    return Share(len(vex), count)


def _count_sse(code: Code, vex: set[int], enough: int) -> int:
    """Return how many functions outside of `vex` have vector instructions; stop at `enough`."""
    base = code.section.address
    excluded = np.fromiter(vex, np.int64, len(vex))
    seen: set[int] = set()
    for place, of in _places(code):
        chosen = np.isin(of, excluded, invert=True)
        offset, number = place[chosen], of[chosen]
        begin = np.maximum(code.functions.begin[number] - base, 0)
        codes = code.decoder.codes(code.coverings(offset, begin).tolist())
        seen.update(n for n, c in zip(number.tolist(), codes, strict=True) if c and is_vector(c))
        if len(seen) >= enough:
            return enough
    return len(seen)


def _places(code: Code) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield where 0F and an opcode of SSE stand, at most two places a function, and its number.

    A few come first, for a few may be enough.
    """
    view, count = np.frombuffer(code.data, np.uint8), _FIRST
    for start in range(0, code.section.size, _CHUNK):
        part = view[start : min(start + _CHUNK, code.section.size) + 1]
        offset = np.flatnonzero(part[:-1] == 0x0F)
        offset = offset[_OPCODES[part[offset + 1]]] + start
        addresses = offset + code.section.address
        number = code.functions.of(addresses)
        inside = np.flatnonzero(addresses < code.functions.end[number])
        offset, number = offset[inside], number[inside]
        again = np.zeros(len(number), bool)
        again[2:] = number[2:] == number[:-2]
        offset, number = offset[~again], number[~again]
        while len(offset):
            yield offset[:count], number[:count]
            offset, number, count = offset[count:], number[count:], count * 4


_FIRST = 32
_CHUNK = 1 << 20  # bytes looked at before it is asked whether more are needed
_OPCODES = np.zeros(256, bool)
_OPCODES[[*range(0x10, 0x18), *range(0x28, 0x30), *range(0x51, 0x80), 0xC2, 0xC6]] = True
_OPCODES[[*range(0xD1, 0xFF)]] = True
_OPCODES[0x77] = False
