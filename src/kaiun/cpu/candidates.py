"""Find the few places where something above the baseline may begin, by tables, in numpy.

All that is newer than SSE2 has an encoding that begins with VEX (C4, C5), EVEX (62), XOP (8F) or
0F and one of a few second bytes. Those pairs are looked up for every byte of the code; what is
left is told apart by the bytes behind it. A candidate is no instruction yet: the same bytes may be
part of another one (`add rsp, 24` ends in C4 18). `exact` decides that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_CHUNK = 1 << 18  # bytes looked up at once: stays in the second level cache
PADDING = 16  # readable bytes that have to follow the code
_PREFIXED = (0xB8, 0xBD, 0x12, 0x16, 0x2B, 0x78, 0x79, 0x7C, 0x7D, 0xD0, 0xF0)
_ESCAPES = (0x38, 0x3A)
_BARE = (0x01, 0x0E, 0xA2, 0xAE, 0xC7, 0x0F)
_VEX3, _VEX2, _EVEX, _XOP, _ESCAPE, _XBEGIN, _XABORT = 0xC4, 0xC5, 0x62, 0x8F, 0x0F, 0xC7, 0xC6


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places, and the features that an instruction there would at most need, as bits."""

    offset: Numbers
    features: Numbers


def find(code: Bytes) -> Candidates:
    """Return the candidates of `code`, whose last PADDING bytes are not part of it."""
    offset = _lookup(code)
    features = np.zeros(len(offset), np.int64)
    lead = code[offset]
    for first, pack in _PACKERS.items():
        chosen = np.flatnonzero(lead == first)
        if len(chosen):
            features_of = _kept if first in _KEPT else _distinct
            features[chosen] = features_of(pack(code, offset[chosen]))
    kept = features != 0
    return Candidates(offset[kept], features[kept])


@cache
def _pairs() -> tuple[bytes, bytes]:
    """Return two tables: the bit of each first byte, and which first bytes a second may follow."""
    second = np.arange(256)
    follows = {
        _VEX3: np.isin(second & 31, (1, 2, 3)),
        _VEX2: second >= 0,
        _EVEX: ((second & 8) == 0) & np.isin(second & 7, (1, 2, 3, 5, 6)),
        _XOP: np.isin(second & 31, (8, 9, 10)),
        _ESCAPE: np.isin(second, (*_PREFIXED, *_ESCAPES, *_BARE)),
        _XBEGIN: second == 0xF8,
        _XABORT: second == 0xF8,
    }
    firsts, seconds = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for bit, (first, chosen) in enumerate(follows.items()):
        firsts[first] = 1 << bit
        seconds[chosen] |= np.uint8(1 << bit)
    return firsts.tobytes(), seconds.tobytes()


def _lookup(code: Bytes) -> Numbers:
    """Return where a pair of the tables stands. bytes.translate is the quickest there is."""
    firsts, seconds = _pairs()
    found = [np.empty(0, np.int64)]
    size = len(code) - PADDING
    for start in range(0, size, _CHUNK):
        count = min(_CHUNK, size - start)
        part = code[start : start + count + 1].tobytes()
        first = np.frombuffer(part.translate(firsts), np.uint8)[:count]
        second = np.frombuffer(part.translate(seconds), np.uint8)[1:]
        found.append(np.flatnonzero((first & second).view(np.bool_)) + start)
    return np.concatenate(found)


# A signature packs what decides about the features: kind, prefix bits, opcode, three facts of
# ModRM. Registers are left out, so a few thousand signatures stand for all of a large file.
def _pack(kind: int, prefix: Numbers, opcode: Numbers, modrm: Numbers) -> Numbers:
    shape = (modrm >> 3 & 7) | (modrm >= 0xC0) << 3 | ((modrm & 7) == 4) << 4
    return np.asarray(kind << 40 | prefix << 16 | opcode << 8 | shape, np.int64)


def _byte(code: Bytes, at: Numbers) -> Numbers:
    return np.asarray(code[at], np.int64)


def _vex2(code: Bytes, at: Numbers) -> Numbers:
    prefix = _byte(code, at + 1)
    bits = prefix & 7 | ((prefix >> 3 & 15) == 15) << 3
    return _pack(1, bits, _byte(code, at + 2), _byte(code, at + 3))


def _vex3(code: Bytes, at: Numbers) -> Numbers:
    first, second = _byte(code, at + 1), _byte(code, at + 2)
    bits = second & 7 | ((second >> 3 & 15) == 15) << 3 | (second >> 7) << 4 | (first & 31) << 5
    kind = 2 + (code[at] == _XOP)
    return _pack(kind, bits, _byte(code, at + 3), _byte(code, at + 4))


def _evex(code: Bytes, at: Numbers) -> Numbers:
    first, second, third = (_byte(code, at + n) for n in (1, 2, 3))
    bits = second & 3 | ((second >> 3 & 15) == 15) << 3 | (second >> 7) << 4 | (first & 7) << 5
    bits |= (third >> 3 & 31) << 8 | ((third & 7) == 0) << 13
    packed = _pack(4, bits, _byte(code, at + 4), _byte(code, at + 5))
    return np.where(second & 4, packed, 0)


def _escape(code: Bytes, at: Numbers) -> Numbers:
    second = _byte(code, at + 1)
    longer = np.isin(second, _ESCAPES)
    opcode = np.where(longer, _byte(code, at + 2), 0)
    modrm = np.where(longer, _byte(code, at + 3), _byte(code, at + 2))
    before = [_byte(code, np.maximum(at - n, 0)) for n in (1, 2, 3)]
    bits = second
    for number, prefix in enumerate(_MANDATORY):
        bits = bits | np.logical_or.reduce([each == prefix for each in before]) << (8 + number)
    exact = modrm * np.isin(second, (0x01, 0x0F)) << 11  # there ModRM, or what follows, is opcode
    packed = _pack(5, bits | exact, opcode, modrm)
    return np.where((bits >> 8 == 0) & np.isin(second, _PREFIXED), 0, packed)


_MANDATORY = (0x66, 0xF2, 0xF3)


def _transaction(code: Bytes, at: Numbers) -> Numbers:
    return np.full(len(at), 6 << 40, np.int64)  # of both, for both need RTM


_PACKERS = {
    _VEX2: _vex2,
    _VEX3: _vex3,
    _XOP: _vex3,
    _EVEX: _evex,
    _ESCAPE: _escape,
    _XBEGIN: _transaction,
    _XABORT: _transaction,
}


def _kept(signature: Numbers) -> Numbers:
    """Return what `_features_of` tells of each; what was asked for once is kept for all files."""
    known, features = _answers()
    short = _shortened(signature)
    index = known[short]
    new = np.flatnonzero(index == 0)
    if len(new):
        _, first = np.unique(short[new], return_index=True)
        for each in new[first].tolist():
            needs = _features_of(int(signature[each]))
            known[short[each]] = features.setdefault(needs, len(features) + 1)
        index = known[short]
    return np.fromiter((0, *features), np.int64, len(features) + 1)[index]


def _distinct(signature: Numbers) -> Numbers:
    distinct, which = np.unique(signature, return_inverse=True)
    known = np.fromiter(map(_features_of, distinct.tolist()), np.int64, len(distinct))
    return np.asarray(known[which], np.int64)


# Millions of them in code for AVX: sorting them takes too long.
_KEPT = (_VEX2, _VEX3, _XOP)


@cache
def _answers() -> tuple[npt.NDArray[np.int16], dict[int, int]]:
    """Return the table of short signatures: numbers of sets of features, 0 for not asked yet."""
    return np.zeros(1 << 22, np.int16), {}


def _shortened(signature: Numbers) -> Numbers:
    """Pack VEX's and XOP's closer: kind 2 bits, map 2 (1–3 or 8–10), prefix 5, opcode, shape 5."""
    packed = (signature >> 40 & 3) << 20 | (signature >> 21 & 3) << 18
    packed |= (signature >> 16 & 31) << 13 | (signature >> 8 & 255) << 5
    return np.asarray(packed | signature & 31, np.int64)


@cache
def _features_of(signature: int) -> int:
    """Return the features of an instruction with this signature; 0 when there is none."""
    found = 0
    for code in _examples(signature):
        found |= instructions.masks()[instructions.Decoder(code).at(0).code]
    return found


def _examples(signature: int) -> list[bytes]:
    """Return instructions with this signature, their registers the plainest that there are."""
    kind, bits, opcode, shape = (
        signature >> 40,
        signature >> 16 & 0xFFFFFF,
        signature >> 8 & 255,
        signature & 255,
    )
    modrm = (shape & 7) << 3 | (0xC0 if shape & 8 else 0) | (4 if shape & 16 else 0)
    # Gathers are invalid where destination, index and mask are not three registers.
    register, index = shape & 7, 3 if shape & 7 != 3 else 5
    tail = bytes((opcode, modrm, index << 3)) + bytes(8)
    vector = (15 if bits & 8 else 14 if register != 1 else 13) << 3
    match kind:
        case 1:
            return [bytes((_VEX2, 0x80 | vector | bits & 7)) + tail]
        case 2 | 3:
            first, second = 0xE0 | bits >> 5 & 31, bits >> 4 << 7 & 128 | vector | bits & 7
            return [bytes((_XOP if kind == 3 else _VEX3, first, second)) + tail]
        case 4:
            first, second = 0xF0 | bits >> 5 & 7, bits >> 4 << 7 & 128 | vector | 4 | bits & 3
            third = (bits >> 8 & 31) << 3 | (0 if bits >> 13 & 1 else 1)
            return [bytes((_EVEX, first, second, third)) + tail]
        case 5:
            return _escaped(bits, opcode, modrm)
        case 6:
            return [b"\xc7\xf8" + bytes(4)]
    return []


def _escaped(bits: int, opcode: int, modrm: int) -> list[bytes]:
    second = bits & 255
    if second in _ESCAPES:
        tail = bytes((_ESCAPE, second, opcode, modrm)) + bytes(8)
    elif second == 0x0F:  # 3DNow!: the opcode stands behind the operands, so all are tried as one
        tail = b"\x0f\x0f\xc1\x9e"
    else:
        tail = bytes((_ESCAPE, second, bits >> 11 & 255 or modrm)) + bytes(8)
    prefixes = [b""] + [bytes((p,)) for n, p in enumerate(_MANDATORY) if bits >> (8 + n) & 1]
    wide = b"\x48"
    return [prefix + rex + tail for prefix in prefixes for rex in (b"", wide)]
