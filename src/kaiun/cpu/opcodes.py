"""What instructions of VEX, XOP, EVEX and RTM may need: tables of all opcodes iced-x86 knows.

A row stands for what the prefix says (map of opcodes, W, the vector's length, ...), the place in a
row for the opcode and whether ModRM names a register. A table tells the most that any instruction
of this row and place needs, and lets through a few that do not exist: `exact` has the last word.
Source: Intel SDM volume 2, 2.3 (VEX) and 2.7 (EVEX); AMD APM volume 6, 1.1.3 (XOP).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import cast

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Index = int | slice
REGISTER = 256
PLACES = 2 * REGISTER  # of one row
VEX2, VEX3, XOP, EVEX, XBEGIN, XABORT = 0xC5, 0xC4, 0x8F, 0x62, 0xC7, 0xC6
RTM = 0xF8  # what follows XBEGIN and XABORT
_SKIP = {VEX2: 2, VEX3: 3, XOP: 3, EVEX: 4, XBEGIN: 2, XABORT: 2}  # bytes before the opcode
_EVEX = PLACES << 9  # where its rows begin, behind those of VEX
_NOWHERE = 1 << 40  # no row at all

_KINDS = {name: n for name, n in vars(iced.OpCodeOperandKind).items() if isinstance(n, int)}
_VVVV = frozenset(n for name, n in _KINDS.items() if name.endswith("_VVVV"))
_MEMORY = frozenset(n for name, n in _KINDS.items() if name.startswith(("MEM", "SIBMEM")))
_EITHER = frozenset(n for name, n in _KINDS.items() if "_OR_MEM" in name)
_MAPS = (0, 1, 2, 3, 5, 6, 8, 9, 10)  # the prefixes' numbers, by iced's OpCodeTableKind
_ANY = slice(None)


@dataclass(frozen=True, slots=True)
class Tables:
    """How to look up what an instruction may need, by its first bytes.

    `kind` of the first byte, times 256, and the next three: what `rows` has for each adds up to a
    row. `skip` bytes behind the first are opcode and ModRM, which make the place in a row: the
    opcode, and REGISTER more where ModRM names one. `numbers` by row and place, those out of range
    cut to the last, are those of `features`: bytes, so that the second level cache holds them.
    """

    kind: Numbers
    rows: tuple[Numbers, Numbers, Numbers]
    skip: Numbers
    numbers: Bytes
    features: Numbers


@cache
def tables() -> Tables:
    features = np.concatenate((_vex(), _evex(), np.full(PLACES, _rtm()), np.zeros(PLACES, int)))
    filled = np.flatnonzero(features)
    sets = np.unique(features[filled])
    numbers = np.zeros(len(features), np.uint8)
    numbers[filled] = np.searchsorted(sets, features[filled]) + 1
    kind, skip = np.zeros(256, np.int64), np.zeros(256, np.int64)
    rows = np.full((3, len(_SKIP) + 1, 256), 0)
    rows[0, 0] = _NOWHERE
    for number, (lead, behind) in enumerate(_SKIP.items(), 1):
        kind[lead], skip[lead] = number << 8, behind
        for byte, row in enumerate(_rows(lead)):
            rows[byte, number] = row
    first, second, third = rows.reshape(3, -1)
    return Tables(kind, (first, second, third), skip, numbers, np.concatenate(([0], sets)))


def _rows(lead: int) -> tuple[Numbers, ...]:
    """Return what adds up to the row, by each of the bytes behind the leading one."""
    byte = np.arange(256)
    unused, wide = (byte >> 3 & 15) == 15, byte >> 7
    last = unused << 4 | wide << 3 | byte & 7
    match lead:
        case 0xC5:  # of VEX's two bytes only the last, without W
            return ((1 << 5 | last & ~8) * PLACES,)
        case 0xC4 | 0x8F:
            is_map = np.isin(byte & 31, (8, 9, 10) if lead == XOP else (1, 2, 3))
            return np.where(is_map, (byte & 31) * (PLACES << 5), _NOWHERE), last * PLACES
        case 0x62:
            middle = (unused << 6 | wide << 5 | byte & 3) * PLACES
            length = ((byte >> 5 & 3) << 3 | (byte >> 4 & 1) << 2) * PLACES
            return (
                _EVEX + (byte & 7) * (PLACES << 7),
                np.where(byte & 4, middle, _NOWHERE),  # this bit is always set
                np.where(byte & 0x87 == 0x80, _NOWHERE, length),  # zeroing needs a mask
            )
        case _:
            return (np.where(byte == RTM, _EVEX + (PLACES << 10), _NOWHERE),)


def _vex() -> Numbers:
    """Return the features, as bits, by row and place, of VEX and XOP."""
    # map, whether vvvv is unused, W, length, prefix, register, opcode
    table = np.zeros((16, 2, 2, 2, 4, 2, 256), np.int64)
    for info, features in _known(iced.EncodingKind.VEX, iced.EncodingKind.XOP):
        opcode = _opcode(info)
        table[(*_opened(info), _length(info), *opcode)] |= features
    return table.reshape(-1)


def _evex() -> Numbers:
    """Return the same of EVEX."""
    # map, whether vvvv is unused, W, length, bit b, prefix, register, opcode
    table = np.zeros((8, 2, 2, 4, 2, 4, 2, 256), np.int64)
    for info, features in _known(iced.EncodingKind.EVEX):
        row, (prefix, register, opcode) = _opened(info), _opcode(info)
        table[(*row, _length(info), 0, prefix, register, opcode)] |= features
        if info.can_broadcast:
            table[(*row, info.l, 1, prefix, 0, opcode)] |= features
        if info.can_use_rounding_control or info.can_suppress_all_exceptions:
            table[(*row, _ANY, 1, prefix, 1, opcode)] |= features
    return table.reshape(-1)


def _rtm() -> int:
    return instructions.masks()[instructions.Decoder(bytes((XBEGIN, RTM)) + bytes(4)).at(0).code]


def _known(*encodings: int) -> Iterator[tuple[iced.OpCodeInfo, int]]:
    """Yield the opcodes of these encodings that need something, and what."""
    for code, features in enumerate(instructions.masks()):
        if features:
            info = instructions.info(code)
            if info.encoding in encodings:
                yield info, features


def _opened(info: iced.OpCodeInfo) -> tuple[Index, Index, Index]:
    """Return the map, whether vvvv has to be unused, and W."""
    used = any(kind in _VVVV for kind in info.op_kinds())
    return _MAPS[info.table], _ANY if used else 1, _ANY if info.is_wig else info.w


def _length(info: iced.OpCodeInfo) -> Index:
    return _ANY if info.is_lig else info.l


def _opcode(info: iced.OpCodeInfo) -> tuple[int, Index, int]:
    """Return the prefix, whether ModRM may name memory (0) or a register (1), and the opcode."""
    kinds = set(info.op_kinds())
    register: Index = _ANY
    if kinds and not kinds & _EITHER:
        register = 0 if kinds & _MEMORY else 1
    opcode = info.op_code >> 8 * (info.op_code_len - 1)
    return cast("int", info.mandatory_prefix) - 1, register, opcode
