"""Which instruction covers a byte, for many bytes at once: lengths of instructions in numpy.

Only lengths matter to get from one instruction to the next, and they follow from a few tables.
What the tables do not know is left to iced-x86; a test compares the rest with it.
Source: Intel SDM volume 2, chapter 2 and appendix A (64-bit mode); AMD APM volume 3, appendix A.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

RUN_UP = 63  # bytes before the byte asked for: 48, and the 15 in which one instruction begins
_STARTS = 15
_BEHIND = 8  # bytes behind it that an opcode, ModRM and SIB may need
_ROWS = 4096  # bytes asked for that are looked at together: stays in the second level cache
_INVALID, _UNKNOWN = 254, 255
_MODRM, _BY_SIZE, _ODD = 0x80, 0x40, 0x20  # flags beside the number of bytes of an immediate
_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67


def covering(code: Bytes, offset: Numbers, begin: Numbers) -> Numbers:
    """Return where the instruction begins that covers the byte at each offset; -1: not known.

    `begin`, an instruction's beginning, is begun from where it is near; else 15 chains have to
    agree. `code` goes on for 16 bytes behind the last offset.
    """
    parts = [
        _covering(code, offset[at : at + _ROWS], begin[at : at + _ROWS])
        for at in range(0, len(offset), _ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _covering(code: Bytes, offset: Numbers, begin: Numbers) -> Numbers:
    first = offset - RUN_UP
    places = np.arange(RUN_UP + 1 + _BEHIND)[:, None] + first
    covers = _chains(code[np.maximum(places, 0)])
    starts = covers[:_STARTS]
    highest = np.where(starts == _INVALID, 0, starts).max(axis=0)
    found = np.where(starts.min(axis=0) == highest, highest, _UNKNOWN)
    near = np.flatnonzero(begin >= first)
    found[near] = covers[(begin - first)[near], near]
    return np.where(found <= RUN_UP, first + found, -1)


def _chains(window: Bytes) -> Bytes:
    """Return which place in the window covers its target, from each place: rows are places."""
    width = window.shape[1]
    length = _lengths(window).reshape(-1, width)
    place = np.arange(RUN_UP + 1)[:, None]
    odd = length >= _INVALID
    behind = place + length
    ends = odd | (behind > RUN_UP)
    covers = np.where(odd, length, place.astype(np.uint8))
    further = np.where(ends, 0, behind) * width + np.arange(width)
    flat = covers.reshape(-1)
    for row in range(RUN_UP - 1, -1, -1):
        covers[row] = np.where(ends[row], covers[row], flat.take(further[row]))
    return covers


def _lengths(window: Bytes) -> Bytes:
    """Return the length of the instruction at each place, row by row.

    What begins with a prefix is one byte longer than what follows; the last before the opcode
    come first.
    """
    width, raw = window.shape[1], window.reshape(-1)
    plain, short, wide = lengths = _of_opcodes(window)
    open_ = _is_prefix()[raw[: len(plain)]]
    at = np.flatnonzero(open_)
    last = at[at >= RUN_UP * width]  # whatever follows, it covers the target
    plain[last] = short[last] = wide[last] = 1
    open_[last] = False
    at = at[: len(at) - len(last)]
    while len(at):
        waits = open_[at + width]
        _prefix(raw, at[~waits], width, lengths)
        open_[at[~waits]] = False
        at = at[waits]
    return plain


def _prefix(raw: Bytes, at: Numbers, width: int, lengths: tuple[Bytes, Bytes, Bytes]) -> None:
    """Write down the lengths of what begins with these prefixes."""
    plain, short, wide = lengths
    prefix, behind = raw[at], at + width
    rex_w = (prefix & 0xF8) == 0x48
    after = np.where(prefix == _OPERAND_SIZE, short[behind], plain[behind])
    after = np.where(rex_w, wide[behind], after)
    # An address of four bytes instead of eight is not told here.
    opcode = raw[behind]
    moved = (prefix == _ADDRESS_SIZE) & (((opcode & 0xFC) == 0xA0) | _is_prefix()[opcode])
    plain[at] = _longer(np.where(moved, np.uint8(_UNKNOWN), after))
    short[at] = _longer(np.where(rex_w, wide[behind], short[behind]))
    # REX counts only right before the opcode, so one before these does not.
    wide[at] = np.where(plain[at] == short[at], plain[at], _UNKNOWN)


def _longer(length: Bytes) -> Bytes:
    return np.asarray(length + (length < _INVALID), np.uint8)


def _of_opcodes(window: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Return the length of what has its opcode at each place: as it is, with 66, with REX.W."""
    width = window.shape[1]
    raw = window.reshape(-1)
    opcode = raw[: (RUN_UP + 1) * width]
    known = _one_byte()[opcode]
    length = np.asarray(1 + (known & 15) + _tail(raw, known, 1, width), np.uint8)
    by_size = (known & _BY_SIZE) >> 6
    groups = np.flatnonzero((opcode & 0xFE) == 0xF6)  # TEST has an immediate, NOT does not
    test = groups[raw[groups + width] & 0x38 < 0x10]
    length[test] += opcode[test] == 0xF6
    by_size[test] = opcode[test] & 1
    for place, other in _escaped(raw, opcode, width):
        length[place], by_size[place] = other, 0
    length[(known & _ODD) > 0] = _INVALID
    sized = np.asarray(by_size * 2, np.uint8)
    wide = length + sized * 2 + ((opcode & 0xF8) == 0xB8) * np.uint8(4)
    return length + sized * 2, length + sized, np.asarray(wide, np.uint8)


def _tail(raw: Bytes, known: Bytes, skip: int, width: int) -> Bytes:
    """Return the bytes of ModRM, SIB and displacement, ModRM `skip` rows on."""
    modrm = raw[skip * width :][: len(known)]
    tail = _addressing()[modrm]
    based = np.flatnonzero((modrm & 0xC7) == 4)
    tail[based] += (raw[based + (skip + 1) * width] & 7 == 5) * np.uint8(4)
    tail[known < _MODRM] = 0
    return tail


def _tail_at(raw: Bytes, modrm: Numbers, width: int) -> Bytes:
    """The same for single places of ModRM."""
    first = raw[modrm]
    based = ((first & 0xC7) == 4) & (raw[modrm + width] & 7 == 5)
    return np.asarray(_addressing()[first] + based * np.uint8(4), np.uint8)


def _escaped(raw: Bytes, opcode: Bytes, width: int) -> list[tuple[Numbers, Bytes]]:
    """Return where opcodes of more than one byte stand, and their lengths."""
    escape = np.flatnonzero(opcode == 0x0F)
    second = raw[escape + width]
    longer = (second == 0x38) | (second == 0x3A)
    two = _map(raw, escape[~longer], 1, _two_bytes()[second[~longer]], width)
    three = _map(raw, escape[longer], 2, _MODRM | (second[longer] == 0x3A), width)
    found = [(escape[~longer], two), (escape[longer], three)]
    for lead, size, of_vex in ((0xC5, 2, None), (0xC4, 3, 31), (0x62, 4, 7), (0x8F, 3, 31)):
        at = np.flatnonzero(opcode == lead)
        table = raw[at + width] & of_vex if of_vex else np.ones(len(at), np.uint8)
        if lead == 0x8F:  # POP where it is not XOP
            at, table = at[table >= 8], table[table >= 8]
        known = _vector()[table, raw[at + size * width]]
        found.append((at, _map(raw, at, size, known, width)))
    return found


def _map(raw: Bytes, at: Numbers, size: int, known: Bytes, width: int) -> Bytes:
    """Return the lengths of opcodes that `size` bytes stand before, given what is known of them."""
    tail = np.where(known & _MODRM, _tail_at(raw, at + (size + 1) * width, width), 0)
    length = size + 1 + (known & 15) + tail
    return np.where(known & _ODD, _UNKNOWN, length).astype(np.uint8)


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
    table[[0x04, 0x0A, 0x0C, *range(0x20, 0x28), *range(0x39, 0x40), 0x78]] = _ODD
    return table


@cache
def _vector() -> Bytes:
    """Return the same for VEX, EVEX and XOP, by the number of their table of opcodes."""
    table = np.full((32, 256), _ODD, np.uint8)
    table[[1, 2, 5, 6, 9]] = _MODRM
    table[[3, 8]] = _MODRM | 1
    table[10] = _MODRM | 4
    table[1, [*range(0x70, 0x74), 0xC2, 0xC4, 0xC5, 0xC6]] = _MODRM | 1
    table[1, 0x77] = 0
    return table
