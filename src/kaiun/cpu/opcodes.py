"""What an instruction behind VEX, XOP or EVEX may need: tables of all opcodes that iced-x86 knows.

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
Places = npt.NDArray[np.uint16]
Index = int | slice
PLACES = 512  # of one row: 256 opcodes, times two
VEX2, VEX3, XOP = 0xC5, 0xC4, 0x8F

_KINDS = {name: n for name, n in vars(iced.OpCodeOperandKind).items() if isinstance(n, int)}
_VVVV = frozenset(n for name, n in _KINDS.items() if name.endswith("_VVVV"))
_MEMORY = frozenset(n for name, n in _KINDS.items() if name.startswith(("MEM", "SIBMEM")))
_EITHER = frozenset(n for name, n in _KINDS.items() if "_OR_MEM" in name)
_MAPS = (0, 1, 2, 3, 5, 6, 8, 9, 10)  # the prefixes' numbers, by iced's OpCodeTableKind
_ANY = slice(None)


@cache
def places() -> Places:
    """Return the place in a row, by the opcode and ModRM read as one number of 16 bits."""
    opcode, modrm = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    return np.asarray(opcode | (modrm >= 0xC0) << 8, np.uint16)


@dataclass(frozen=True, slots=True)
class Tables:
    """Numbers of sets of features by row and place; `features` are the sets, as bits."""

    vex: Bytes  # XOP too
    evex: Bytes
    features: Numbers


@cache
def tables() -> Tables:
    """Return the tables; a number is a byte so that the second level cache holds them."""
    both = [_vex(), _evex()]
    filled = [np.flatnonzero(table) for table in both]
    features = np.unique(np.concatenate([t[at] for t, at in zip(both, filled, strict=True)]))
    numbers = [np.zeros(len(table), np.uint8) for table in both]
    for table, at, number in zip(both, filled, numbers, strict=True):
        number[at] = np.searchsorted(features, table[at]) + 1
    return Tables(numbers[0], numbers[1], np.concatenate(([0], features)))


def _vex() -> Numbers:
    # map, whether vvvv is unused, W, length, prefix, register, opcode
    table = np.zeros((16, 2, 2, 2, 4, 2, 256), np.int64)
    for info, features in _known(iced.EncodingKind.VEX, iced.EncodingKind.XOP):
        opcode = _opcode(info)
        table[(*_opened(info), _length(info), *opcode)] |= features
    return table.reshape(-1)


@cache
def vex_rows(lead: int) -> tuple[Numbers, Numbers]:
    """Return what adds up to the row, by the first and the last byte behind the leading one.

    VEX2 has only one byte, which is like the last of the others but for W.
    """
    byte = np.arange(256)
    last = ((byte >> 3 & 15) == 15) << 4 | byte >> 7 << 3 | byte & 7
    if lead == VEX2:
        return np.zeros(256, np.int64), (1 << 5 | last & ~8) * PLACES
    is_map = np.isin(byte & 31, (8, 9, 10) if lead == XOP else (1, 2, 3))
    return np.where(is_map, byte & 31, 0) * (PLACES << 5), last * PLACES


def _evex() -> Numbers:
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


@cache
def evex_rows() -> tuple[Numbers, Numbers, Numbers]:
    """Return what adds up to the row, by each of the three bytes behind 62."""
    byte = np.arange(256)
    last = (byte >> 5 & 3) << 3 | (byte >> 4 & 1) << 2
    middle = ((byte >> 3 & 15) == 15) << 6 | byte >> 7 << 5 | byte & 3
    return (byte & 7) * (PLACES << 7), middle * PLACES, last * PLACES


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
