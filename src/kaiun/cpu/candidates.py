"""Find the few places where something above the baseline may begin, by tables, in numpy.

All that is newer than SSE2 has an encoding that begins with VEX (C4, C5), EVEX (62), XOP (8F) or
0F and one of a few second bytes. Those pairs are looked up for every byte of the code; what is
left is told apart by the bytes behind it. A candidate is no instruction yet: the same bytes may be
part of another one (`add rsp, 24` ends in C4 18). `exact` decides that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions, lengths, opcodes
from kaiun.cpu.opcodes import EVEX, REGISTER, RTM, VEX2, VEX3, XABORT, XBEGIN, XOP

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_CHUNK = 1 << 18  # bytes looked up at once: stays in the second level cache
_BLOCK = 1 << 14  # places told apart at once, at least: so do these
PADDING = 16  # readable bytes that have to follow the code
_LONGER = (0x38, 0x3A)
_SECONDS = (
    *(0xB8, 0xBD, 0x12, 0x16, 0x2B, 0x78, 0x79, 0x7C, 0x7D, 0xD0, 0xF0, *_LONGER),
    *(0x01, 0x0E, 0xA2, 0xAE, 0xC7, 0x0F),
)
_MANDATORY = (0x66, 0xF2, 0xF3)
_ESCAPE = 0x0F


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places, sorted, and the features that an instruction there would at most need, as bits."""

    offset: Numbers
    features: Numbers


def find(code: bytes) -> Iterator[Candidates]:
    """Yield the candidates of `code`, whose last PADDING bytes are not part of it, in blocks."""
    waiting: list[Numbers] = []
    for offset in _pairs(code):
        waiting.append(offset)
        if sum(map(len, waiting)) >= _BLOCK:
            yield _told(code, np.concatenate(waiting))
            waiting.clear()
    if waiting:
        yield _told(code, np.concatenate(waiting))


def gathered(blocks: Iterable[Candidates], count: int) -> Iterator[Candidates]:
    """Yield candidates in blocks of at least `count`, but for the last."""
    waiting: list[Candidates] = []
    for block in blocks:
        waiting.append(block)
        if sum(len(each.offset) for each in waiting) >= count:
            yield _joined(waiting)
            waiting.clear()
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Candidates]) -> Candidates:
    if len(blocks) == 1:
        return blocks[0]
    return Candidates(
        np.concatenate([each.offset for each in blocks]),
        np.concatenate([each.features for each in blocks]),
    )


def _told(code: bytes, offset: Numbers) -> Candidates:
    """Tell apart what begins with the pairs at `offset`."""
    tables, words = opcodes.tables(), np.ndarray(len(code) - 3, "<u4", code, strides=(1,))
    word = words[offset].astype(np.int64)
    lead = word & 255
    kind = tables.kind.take(lead)
    row = tables.rows[0].take(kind | word >> 8 & 255)
    row += tables.rows[1].take(kind | word >> 16 & 255)
    row += tables.rows[2].take(kind | word >> 24)
    opcode = words[offset + tables.skip.take(lead)]
    row += opcode & 255
    row += ((opcode & 0xFFFF) >= 0xC000) * np.int64(REGISTER)
    features = tables.features.take(tables.numbers.take(row, mode="clip"))
    escaped = np.flatnonzero(lead == _ESCAPE)
    if len(escaped):
        features[escaped] = _escape(np.frombuffer(code, np.uint8), offset[escaped])
    kept = np.flatnonzero(features)
    return Candidates(offset.take(kept), features.take(kept))


@cache
def _classes() -> bytes:
    """Return, by byte, the classes of pairs that it may begin (bits 4–7) and may end (0–3)."""
    byte = np.arange(256)
    vex = np.isin(byte & 31, (1, 2, 3))
    rare = (((byte & 8) == 0) & np.isin(byte & 7, (1, 2, 3, 5, 6))) | np.isin(byte & 31, (8, 9, 10))
    other = np.isin(byte, (*_SECONDS, RTM))
    begins = (VEX3,), (EVEX, XOP), (_ESCAPE, XBEGIN, XABORT), (VEX2,)
    table = np.zeros(256, np.uint8)
    for bit, (first, second) in enumerate(zip(begins, (vex, rare, other, byte >= 0), strict=True)):
        table[list(first)] |= np.uint8(16 << bit)
        table[second] |= np.uint8(1 << bit)
    return table.tobytes()


def _pairs(code: bytes) -> Iterator[Numbers]:
    """Yield where a pair stands, chunk by chunk. bytes.translate is the quickest there is."""
    size = len(code) - PADDING
    for start in range(0, size, _CHUNK):
        part = code[start : min(start + _CHUNK, size) + 1].translate(_classes())
        classes = np.frombuffer(part, np.uint8)
        pair = classes[:-1] >> 4
        np.bitwise_and(pair, classes[1:], out=pair)
        offset = np.flatnonzero(pair.view(np.bool_))
        if len(offset):
            yield offset + start


def _escape(view: Bytes, at: Numbers) -> Numbers:
    """Tell apart what 0F begins: by the prefixes before it and two bytes behind it."""
    second, known = view.take(at + 1), _answers()
    index = _numbered().take(second) | _prefixed(view, at) << 8 | view.take(at + 2)
    features = known.take(index)
    if features.min() < 0:
        for new in set(index[features < 0].tolist()):
            known[new] = _features_of(_SECONDS[(new >> 11) - 1], new >> 8 & 7, new & 255)
        features = known.take(index)
    old = np.flatnonzero((second == _ESCAPE) & (features != 0))
    if len(old):
        modrm = at[old] + 2
        features[old] *= _is_3dnow()[view[modrm + lengths.addressing(view, modrm)]]
    return features


def _prefixed(view: Bytes, at: Numbers) -> Numbers:
    """Return which mandatory prefixes stand before 0F, as bits; REX and others may be between."""
    found, further = np.zeros(len(at), np.uint8), np.ones(len(at), np.uint8)
    for distance in (1, 2, 3):
        prefix = _prefixes().take(view.take(np.maximum(at - distance, 0))) * further
        found |= prefix
        further = np.asarray(prefix > 0, np.uint8)
    return np.asarray(found & 7, np.int64)


@cache
def _prefixes() -> Bytes:
    """Return the bit of each mandatory prefix; bit 3 for the others, and REX."""
    table = np.zeros(256, np.uint8)
    table[[0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x67, 0xF0, *range(0x40, 0x50)]] = 8
    table[list(_MANDATORY)] = 1, 2, 4
    return table


@cache
def _is_3dnow() -> Bytes:
    """Return which bytes are opcodes of 3DNow!, which stand behind the operands."""
    table = np.zeros(256, np.uint8)
    codes = map(instructions.info, range(len(instructions.masks())))
    table[[each.op_code for each in codes if each.encoding == iced.EncodingKind.D3NOW]] = 1
    return table


@cache
def _numbered() -> Numbers:
    """Return where the answers about each second byte begin."""
    table = np.zeros(256, np.int64)
    table[list(_SECONDS)] = np.arange(1, len(_SECONDS) + 1) << 11
    return table


@cache
def _answers() -> Numbers:
    """Return what is known of prefixes and bytes, by `_escape`'s index: -1 is not asked for yet."""
    table = np.full((len(_SECONDS) + 1) << 11, -1)
    table[: 1 << 11] = 0
    return table


def _features_of(second: int, prefixes: int, behind: int) -> int:
    """Return the features of what 0F and two bytes begin, the prefixes being there or not."""
    if second in _LONGER:  # `behind` is the opcode, else it is ModRM: here memory, or a register
        tails = [bytes((second, behind, modrm)) for modrm in (0x03, 0xC1)]
    else:
        tails = [b"\x0f\xc1\x9e" if second == _ESCAPE else bytes((second, behind))]
    before = [b"", *(bytes((p,)) for n, p in enumerate(_MANDATORY) if prefixes >> n & 1)]
    found = 0
    for prefix, rex, tail in product(before, (b"", b"\x48"), tails):
        code = prefix + rex + b"\x0f" + tail + bytes(8)
        found |= instructions.masks()[instructions.Decoder(code).at(0).code]
    return found
