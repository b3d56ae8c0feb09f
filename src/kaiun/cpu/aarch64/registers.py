"""What a function writes to fixed addresses: a walk over its instructions, as they stand in memory.

Registers are followed as far as they hold an address that the file itself gives: by ADR, ADRP, ADD,
a copy, or a word of the global offset table. Branches are not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_SCRATCH = 19  # a call may change the registers below this one (AAPCS64, 6.1.1)
_PAGE = 12


class _Registers:
    """The registers that hold a known address. Each method takes an instruction's word."""

    def __init__(self, words: Mapping[int, int]) -> None:
        self._held: dict[int, int] = {}
        self._words = words

    def address(self, word: int, at: int) -> bool:
        """Follow ADR and ADRP."""
        if word & 0x1F000000 != 0x10000000:
            return False
        distance = _signed((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3, 21)
        page = word >> 31
        held = ((at >> _PAGE) + distance) << _PAGE if page else at + distance
        self._held[word & 31] = held
        return True

    def add(self, word: int) -> bool:
        """Follow ADD with an immediate and MOV between registers, both of 64 bits."""
        base = self._held.get(word >> 5 & 31)
        if word & 0xFF800000 == 0x91000000 and base is not None:
            self._held[word & 31] = base + ((word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0))
            return True
        source = self._held.get(word >> 16 & 31)
        if word & 0xFFE0FFE0 == 0xAA0003E0 and source is not None:
            self._held[word & 31] = source
            return True
        return False

    def load(self, word: int) -> bool:
        """Follow LDR of 64 bits from a word that the linker fills."""
        base = self._held.get(word >> 5 & 31)
        if word & 0xFFC00000 != 0xF9400000 or base is None:
            return False
        value = self._words.get(base + ((word >> 10 & 0xFFF) << 3))
        if value is None:
            return False
        self._held[word & 31] = value
        return True

    def stored(self, word: int) -> tuple[int, ...]:
        """Return where a store writes to: its address, and its base for who adds up differently."""
        base = self._held.get(word >> 5 & 31)
        offset = _offset(word)
        return () if base is None or offset is None else tuple({base, base + offset})

    def forget(self, word: int) -> None:
        """Forget what an instruction overwrites, whichever it is."""
        if word & 0xFC000000 == 0x94000000 or word & 0xFFFFFC1F == 0xD63F0000:  # BL, BLR
            self._held = {n: held for n, held in self._held.items() if n >= _SCRATCH}
        elif word >> 26 & 7 != 5:  # no other branch
            self._held.pop(word & 31, None)


def stores(code: Iterable[int], begin: int, words: Mapping[int, int]) -> list[int]:
    """Return the addresses that code at `begin` writes to.

    `words` maps places in memory to the addresses that the dynamic linker writes there.
    """
    registers, found = _Registers(words), list[int]()
    for number, word in enumerate(code):
        if _offset(word) is not None:
            found += registers.stored(word)
        elif not (
            registers.address(word, begin + 4 * number)
            or registers.add(word)
            or registers.load(word)
        ):
            registers.forget(word)
    return found


def _offset(word: int) -> int | None:
    """Return how far from its base register a store writes, None for what is no such store."""
    vector = word >> 26 & 1
    if word & 0x3B000000 == 0x39000000 and word >> 22 & 3 in ((0, 2) if vector else (0,)):
        whole = 4 if vector and word >> 23 & 1 else 0
        return (word >> 10 & 0xFFF) << ((word >> 30) + whole)  # STR, unsigned offset
    if word & 0x3BE00C00 == 0x38000000:
        return _signed(word >> 12, 9)  # STUR
    if word & 0x3FC00000 == 0x29000000:  # STP, signed offset
        scale = 2 + (word >> 30 if vector else word >> 31)
        return _signed(word >> 15, 7) << scale
    released = word & 0x3F400000 == 0x08000000  # STLR, STXR and their like
    atomic = word & 0x3B200C00 == 0x38200000  # LDADD, SWP and their like
    return 0 if released or atomic else None


def _signed(value: int, bits: int) -> int:
    low = value & (1 << bits) - 1
    return (low ^ 1 << bits - 1) - (1 << bits - 1)
