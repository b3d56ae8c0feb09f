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
from kaiun.cpu.opcodes import VEX2, VEX3, XOP

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
_EVEX, _ESCAPE, _XBEGIN, _XABORT, _RTM = 0x62, 0x0F, 0xC7, 0xC6, 0xF8


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
    return Candidates(
        np.concatenate([each.offset for each in blocks]),
        np.concatenate([each.features for each in blocks]),
    )


def _told(code: bytes, offset: Numbers) -> Candidates:
    """Tell apart what begins with the pairs at `offset`."""
    view = np.frombuffer(code, np.uint8)
    lead = view.take(offset)
    number = np.zeros(len(offset), np.uint8)
    for first, number_of in _VECTORS.items():
        chosen = np.flatnonzero(lead == first)
        if len(chosen):
            number[chosen] = number_of(view, offset.take(chosen))
    features = opcodes.tables().features.take(number)
    for first, features_of in _OTHERS.items():
        chosen = np.flatnonzero(lead == first)
        if len(chosen):
            features[chosen] = features_of(view, offset.take(chosen))
    kept = np.flatnonzero(features)
    return Candidates(offset.take(kept), features.take(kept))


@cache
def _classes() -> bytes:
    """Return, by byte, the classes of pairs that it may begin (bits 4–7) and may end (0–3)."""
    byte = np.arange(256)
    vex = np.isin(byte & 31, (1, 2, 3, 8, 9, 10))
    evex = ((byte & 8) == 0) & np.isin(byte & 7, (1, 2, 3, 5, 6))
    other = np.isin(byte, (*_SECONDS, _RTM))
    begins = (VEX3, XOP), (_EVEX,), (_ESCAPE, _XBEGIN, _XABORT), (VEX2,)
    table = np.zeros(256, np.uint8)
    for bit, (first, second) in enumerate(zip(begins, (vex, evex, other, byte >= 0), strict=True)):
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


def _vex(view: Bytes, at: Numbers) -> Bytes:
    lead = int(view[at[0]])
    first, last = opcodes.vex_rows(lead)
    if lead == VEX2:
        return _in_rows(opcodes.tables().vex, last.take(view.take(at + 1)), view, at + 2)
    row = first.take(view.take(at + 1)) + last.take(view.take(at + 2))
    return _in_rows(opcodes.tables().vex, row, view, at + 3)


def _evex(view: Bytes, at: Numbers) -> Bytes:
    """Tell apart EVEX, of whose bytes one bit is always set; zeroing needs a mask."""
    number = np.zeros(len(at), np.uint8)
    possible = np.flatnonzero((view[at + 2] & 4 > 0) & (view[at + 3] & 0x87 != 0x80))
    at = at[possible]
    first, middle, last = opcodes.evex_rows()
    row = first[view[at + 1]] + middle[view[at + 2]] + last[view[at + 3]]
    number[possible] = _in_rows(opcodes.tables().evex, row, view, at + 4)
    return number


def _in_rows(table: Bytes, row: Numbers, view: Bytes, at: Numbers) -> Bytes:
    """Look up the opcode at `at`, before ModRM."""
    pairs = np.ndarray(len(view) - 1, "<u2", view, strides=(1,))
    return table.take(row + opcodes.places().take(pairs[at]))


def _escape(view: Bytes, at: Numbers) -> Numbers:
    """Tell apart what 0F begins: by the prefixes before it and two bytes behind it."""
    second, known = view.take(at + 1), _answers()
    index = _numbered().take(second) | _prefixed(view, at) << 8 | view.take(at + 2)
    features = known.take(index)
    for new in np.unique(index[features < 0]).tolist():
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


def _transaction(view: Bytes, at: Numbers) -> Numbers:
    needs = instructions.masks()[instructions.Decoder(b"\xc7\xf8" + bytes(4)).at(0).code]
    return np.where(view[at + 1] == _RTM, needs, 0).astype(np.int64)


_VECTORS = {VEX2: _vex, VEX3: _vex, XOP: _vex, _EVEX: _evex}
_OTHERS = {_ESCAPE: _escape, _XBEGIN: _transaction, _XABORT: _transaction}
