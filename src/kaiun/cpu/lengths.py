"""Lengths of instructions, of thousands of places at once: tables, in numpy.

Lengths follow from the prefixes, the opcode, ModRM and SIB. What the tables do not know is left to
iced-x86; a test compares the rest with it.
Source: Intel SDM volume 2, chapter 2 and appendix A (64-bit mode); AMD APM volume 3, appendix A.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Pairs = npt.NDArray[np.uint16]

BEHIND = 8  # bytes behind a place that its opcode, ModRM and SIB may need
INVALID, UNKNOWN = 254, 255
_MODRM, _BY_SIZE, _ODD = 0x80, 0x40, 0x20  # flags beside the number of bytes of an immediate
_PREFIX, _ESCAPED, _BASED = 0x60, 0x40, 0x20  # what the table of opcodes leaves to others
_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_VEX2, _VEX3, _EVEX, _XOP = 0xC5, 0xC4, 0x62, 0x8F


def of_window(window: Bytes) -> Bytes:
    """Return the length of the instruction at each place of a window, or INVALID or UNKNOWN.

    A row has the bytes that are as far from the beginning of several windows; a place's next byte
    is in the next row. The last BEHIND rows are only read. A prefix in the row before them counts
    as an instruction: what it belongs to begins before, or does not matter.
    """
    width, raw = window.shape[1], window.reshape(-1)
    count = raw.size - BEHIND * width
    wide = raw[: count + width].astype(np.uint16)
    pairs: Pairs = np.asarray(wide[:count] | wide[width:] << 8, np.uint16)
    length = _opcodes().take(pairs)
    special = np.flatnonzero((length >= _BASED) & (length < INVALID))
    kind = length[special] & 0xE0
    based = special[kind == _BASED]
    length[based] = (length[based] & 31) + (raw[based + 2 * width] & 7 == 5) * np.uint8(4)
    escaped = special[kind == _ESCAPED]
    length[escaped] = _of_escapes(raw, escaped, width)
    prefix = special[kind == _PREFIX]
    last = np.searchsorted(prefix, count - width)
    length[prefix[last:]] = 1
    _prefixes(raw, pairs, length, prefix[:last], width)
    return length.reshape(-1, width)


def _prefixes(raw: Bytes, pairs: Pairs, length: Bytes, at: Numbers, width: int) -> None:
    """Write down the lengths of what begins with prefixes: one byte longer than what follows."""
    opcode, sized, addressed = at + width, raw[at] == _OPERAND_SIZE, raw[at] == _ADDRESS_SIZE
    behind = np.ones(len(at), np.int64)
    open_ = np.flatnonzero(_is_prefix()[raw[opcode]] & (length[opcode] != 1))
    while len(open_):
        byte = raw[opcode[open_]]
        sized[open_] |= byte == _OPERAND_SIZE
        addressed[open_] |= byte == _ADDRESS_SIZE
        opcode[open_] += width
        behind[open_] += 1
        further = opcode[open_]
        open_ = open_[_is_prefix()[raw[further]] & (length[further] != 1)]
    wide = (raw[opcode - width] & 0xF8) == 0x48
    by_size = _by_size()[pairs[opcode]]
    lead = raw[opcode]
    after = length[opcode].astype(np.int64)
    found = after + behind - np.where(sized & ~wide, by_size, 0) * 2
    found += np.where(wide & ((lead & 0xF8) == 0xB8), 4, 0)
    # An address of four bytes instead of eight is not told here.
    moved = addressed & ((lead & 0xFC) == 0xA0)
    length[at] = np.where(moved, UNKNOWN, np.where(after >= INVALID, after, found))


def _of_escapes(raw: Bytes, at: Numbers, width: int) -> Bytes:
    """Return the lengths of opcodes of more than one byte; these begin with 0F, VEX, EVEX, XOP."""
    lead, second = raw[at], raw[at + width]
    longer = (second == 0x38) | (second == 0x3A)
    skip = np.where(lead == 0x0F, 1 + longer, _SKIPPED[lead]).astype(np.int64)
    known = np.where(longer, np.uint8(_MODRM) | (second == 0x3A), _two_bytes()[second])
    vector = np.flatnonzero(lead != 0x0F)
    table = np.where(lead == _EVEX, second & 7, second & 31)[vector]
    table[lead[vector] == _VEX2] = 1
    opcode = raw[at[vector] + skip[vector] * width]
    known[vector] = _vector()[(lead[vector] == _XOP).astype(np.int64), table, opcode]
    modrm = at + (skip + 1) * width
    tail = np.where(known & _MODRM, addressing(raw, modrm, width), 0)
    length = skip + 1 + (known & 15) + tail
    return np.where(known >= INVALID, known, length).astype(np.uint8)


def addressing(raw: Bytes, modrm: Numbers, width: int = 1) -> Bytes:
    """Return how many bytes ModRM, SIB and displacement take; the next byte is `width` on."""
    first = raw[modrm]
    based = ((first & 0xC7) == 4) & (raw[modrm + width] & 7 == 5)
    return np.asarray(_addressing()[first] + based * np.uint8(4), np.uint8)


@cache
def _is_prefix() -> Flags:
    """Return which bytes are prefixes, REX among them."""
    byte = np.arange(256)
    return np.asarray(np.isin(byte, _PREFIXES) | ((byte & 0xF0) == 0x40), np.bool_)


@cache
def _addressing() -> Bytes:
    """Return how many bytes ModRM, a SIB and a displacement take, by ModRM."""
    modrm = np.arange(256)
    mod, rm = modrm >> 6, modrm & 7
    far = (mod == 2) | ((mod == 0) & (rm == 5))
    return np.asarray(1 + ((rm == 4) & (mod < 3)) + 4 * far + (mod == 1), np.uint8)


@cache
def _opcodes() -> Bytes:
    """Return the length by opcode and the byte behind it, read as one number of 16 bits.

    _BASED is added where a SIB may add to it; _ESCAPED and _PREFIX stand alone.
    """
    opcode, modrm = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    known = _one_byte()[opcode].astype(np.int64)
    has_modrm = known >= _MODRM
    length = 1 + (known & 15) + has_modrm * _addressing()[modrm]
    length += _by_size().astype(np.int64) * 4 + ((opcode == 0xF6) & (modrm & 0x38 < 0x10))
    length += (has_modrm & ((modrm & 0xC7) == 4)) * _BASED
    length[np.isin(opcode, (0x0F, _VEX2, _VEX3, _EVEX))] = _ESCAPED
    length[(opcode == _XOP) & (modrm & 31 >= 8)] = _ESCAPED
    length[_is_prefix()[opcode]] = _PREFIX
    length[(known & _ODD) > 0] = INVALID
    return np.asarray(length, np.uint8)


@cache
def _by_size() -> Bytes:
    """Return whether an immediate goes by the size of operands, as `_opcodes` does."""
    opcode, modrm = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    test = (opcode == 0xF7) & (modrm & 0x38 < 0x10)
    return np.asarray(((_one_byte()[opcode] & _BY_SIZE) > 0) | test, np.uint8)


@cache
def _one_byte() -> Bytes:
    table = np.zeros(256, np.uint8)
    for row in range(0, 0x40, 8):
        table[row : row + 8] = [*[_MODRM] * 4, 1, _BY_SIZE, _ODD, _ODD]
    table[[0x0F, *_PREFIXES]] = 0
    table[[0x63, *range(0x84, 0x90), *range(0xD0, 0xD4), *range(0xD8, 0xE0)]] = _MODRM
    table[[0xF6, 0xF7, 0xFE, 0xFF]] = _MODRM
    table[[0x68, 0xA9, *range(0xB8, 0xC0)]] = _BY_SIZE
    table[[0x69, 0x81, 0xC7]] = _MODRM | _BY_SIZE
    table[[0x6B, 0x80, 0x83, 0xC0, 0xC1, 0xC6]] = _MODRM | 1
    table[[0x6A, *range(0x70, 0x80), 0xA8, *range(0xB0, 0xB8), 0xCD, 0xEB]] = 1
    table[range(0xE0, 0xE8)] = 1
    table[[0xC2, 0xCA]] = 2
    table[0xC8] = 3
    table[[0xE8, 0xE9]] = 4
    table[range(0xA0, 0xA4)] = 8
    table[[0x60, 0x61, 0x82, 0x9A, 0xCE, 0xD4, 0xD5, 0xD6, 0xEA]] = _ODD
    return table


@cache
def _two_bytes() -> Bytes:
    table = np.full(256, _MODRM, np.uint8)
    table[[*range(0x05, 0x0A), 0x0B, 0x0E, *range(0x30, 0x38), 0x77]] = 0
    table[[0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA, *range(0xC8, 0xD0)]] = 0
    table[range(0x80, 0x90)] = 4
    table[[0x0F, *range(0x70, 0x74), 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6]] = _MODRM | 1
    # Moves to control registers, SSE4a or VMX by prefix, and what there is none of.
    table[[0x04, 0x0A, 0x0C, *range(0x20, 0x28), *range(0x39, 0x40), 0x78]] = UNKNOWN
    return table


@cache
def _vector() -> Bytes:
    """Return the same for VEX and EVEX (0), and for XOP (1), by the number of their map."""
    table = np.full((2, 32, 256), INVALID, np.uint8)
    table[0, [1, 2, 5, 6]] = table[1, 9] = _MODRM
    table[0, 3] = table[1, 8] = _MODRM | 1
    table[1, 10] = _MODRM | 4
    table[0, 1, [*range(0x70, 0x74), 0xC2, 0xC4, 0xC5, 0xC6]] = _MODRM | 1
    table[0, 1, 0x77] = 0
    return table


_SKIPPED = np.zeros(256, np.uint8)  # bytes before the opcode, by the leading one
_SKIPPED[[_VEX2, _VEX3, _XOP, _EVEX]] = 2, 3, 3, 4
