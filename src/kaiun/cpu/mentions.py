"""What code for x86-64 calls, and which places in memory it mentions: the edges of guards' graph.

An edge needs no decoding: four bytes that happen to be the distance to the very beginning of a
function are rare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu.elf import SHF_EXECINSTR, Elf
from kaiun.cpu.exact import Code
from kaiun.cpu.found import Found
from kaiun.cpu.places import exactly

Numbers = npt.NDArray[np.int64]
_JMP_SHORT, _ESCAPE = 0xEB, 0x0F
# What stands before four bytes of distance: call, jmp, ModRM for an address relative to RIP (1),
# and the second byte of a conditional jump (2), before which there is 0F.
_LEADING = {0xE8, 0xE9, *(n << 3 | 5 for n in range(8))}
_LEADS = bytes(1 if byte in _LEADING else 2 if byte >> 4 == 8 else 0 for byte in range(256))
_CHUNK = 1 << 18  # bytes of code looked at together: stays in the second level cache
_SIEVE = (1 << 20) - 1  # most places that are no function's beginning fall through it
_LONGEST = 4096  # bytes of a function that are read for what it stores


@dataclass(frozen=True, slots=True)
class Mentions:
    """What guards asks of one file's code."""

    elf: Elf
    found: Found[Code]
    slack = (1, 4)  # a place may be so much too low: an immediate follows the displacement

    def places(self, known: Numbers, high: int) -> tuple[Numbers, Numbers]:
        """Return each place that code calls, jumps to, or addresses, and the function that does.

        Of places in code those that are `known`, of others those below `high`.
        """
        far = partial(_far, known=known, high=high)
        parts = [part(code) for code in self.found.codes for part in (_short, far)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def stubs(self) -> list[tuple[int, int]]:
        """Return each entry of the PLT (16 bytes that jump on) with the word that it jumps by."""
        found = []
        for section in self.elf.sections:
            if section.name.startswith(".plt") and section.flags & SHF_EXECINSTR:
                data = self.elf.content(section) + bytes(8)
                view = np.frombuffer(data, np.uint8)
                places = np.flatnonzero((view[:-7] == 0xFF) & (view[1:-6] == 0x25))
                words = places + _distances(data)[places + 2] + (section.address + 6)
                stubs = section.address + places // 16 * 16
                found += list(zip(stubs.tolist(), words.tolist(), strict=True))
        return found

    def stores(self, number: int) -> list[int]:
        """Return the addresses that a function writes to, where they are fixed."""
        functions = self.found.functions
        begin, limit = int(functions.begin[number]), functions.limit(number)
        code = next(
            (c for c in self.found.codes if c.section.address <= begin < c.section.end), None
        )
        if code is None:
            return []
        at, stop = begin - code.section.address, min(limit, begin + _LONGEST) - code.section.address
        stores = []
        while at < stop:
            each = code.decoder.at(at)
            if each.is_ip_rel_memory_operand and _writes(each):
                stores.append(each.ip_rel_memory_address + code.section.address)
            at += each.len or 1
        return stores


def _far(code: Code, known: Numbers, high: int) -> tuple[Numbers, Numbers]:
    """Return each place that code calls, jumps to, or addresses, and the function that does."""
    sieve = _sieve(known)
    distances = _distances(code.data)
    places, sources = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for lead in _leading(code):
        place = lead + distances[lead + 1] + (code.section.address + 5)
        loaded = np.flatnonzero(place.view(np.uint64) < high)  # a negative one is a large one
        place = place[loaded]
        maybe = (place < known[0]) | (place > known[-1]) | sieve[place & _SIEVE]
        places.append(place[maybe])
        sources.append(lead[loaded[maybe]] + code.section.address)
    place, source = np.concatenate(places), np.concatenate(sources)
    inside = (place >= known[0]) & (place <= known[-1])
    exact = ~inside
    exact[inside] = exactly(known, place[inside]) >= 0
    return place[exact], code.functions.at(source[exact])


def _leading(code: Code) -> Iterator[Numbers]:
    """Yield where bytes are that four bytes of distance may follow, chunk by chunk."""
    size = max(code.section.size - 6, 0)
    for start in range(0, size, _CHUNK):
        before = code.data[start - 1 : start] if start else b"\0"
        part = before + code.data[start : min(start + _CHUNK, size)]
        lead = np.frombuffer(part.translate(_LEADS), np.uint8)[1:]
        escaped = np.frombuffer(part, np.uint8)[:-1] == _ESCAPE
        yield np.flatnonzero((lead == 1) | ((lead == 2) & escaped)) + start


def _short(code: Code) -> tuple[Numbers, Numbers]:
    """Return the beginnings of other functions that short jumps go to: the end of one function
    may be so near to the next. One byte of distance proves nothing, so these are decoded."""
    view, base, functions = np.frombuffer(code.data, np.uint8), code.section.address, code.functions
    parts = range(0, code.section.size, _CHUNK)
    jumps = [np.flatnonzero(view[n : n + _CHUNK] == _JMP_SHORT) + n for n in parts]
    at = np.concatenate(jumps)
    place = at + 2 + view[at + 1].astype(np.int8) + base
    maybe = _sieve(functions.begin)[place & _SIEVE]
    at, place = at[maybe], place[maybe]
    source = functions.at(at + base)
    near = (exactly(functions.begin, place) >= 0) & (functions.begin[source] != place)
    begin = np.maximum(functions.begin[source] - base, 0)
    real = code.coverings(at[near], begin[near]) == at[near]
    return place[near][real], source[near][real]


def _sieve(known: Numbers) -> npt.NDArray[np.bool_]:
    """Return which low bits, _SIEVE of them, known values have."""
    sieve = np.zeros(_SIEVE + 1, np.bool_)
    sieve[known & _SIEVE] = True
    return sieve


def _distances(data: bytes) -> npt.NDArray[np.int32]:
    """Return the four bytes at each place, read as a distance."""
    return np.ndarray(len(data) - 3, "<i4", data, strides=(1,))


def _writes(each: iced.Instruction) -> bool:
    """Whether its first operand is memory, and it is no comparison."""
    compares = (iced.Mnemonic.CMP, iced.Mnemonic.TEST, iced.Mnemonic.CALL, iced.Mnemonic.JMP)
    return each.op0_kind == iced.OpKind.MEMORY and each.mnemonic not in compares
