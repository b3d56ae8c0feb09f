"""Which functions are reached only through a check of the CPU: a walk over the call graph.

A *checker* executes cpuid or xgetbv, calls a small function that does, reads a variable that such
a function fills, asks another library, or is the resolver of an ifunc. The walk begins at what can
be called from outside and does not go on behind checkers: what it does not reach is guarded.
Edges are direct calls and jumps, addresses taken, and tables of addresses. An edge needs no
decoding: four bytes that happen to be the distance to the very beginning of a function are rare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from kaiun.cpu import instructions
from kaiun.cpu.elf import (
    R_64,
    R_GLOB_DAT,
    R_IRELATIVE,
    R_JUMP_SLOT,
    R_RELATIVE,
    SHF_EXECINSTR,
    STT_FUNC,
    STT_GNU_IFUNC,
    Elf,
)
from kaiun.cpu.evidence import asks
from kaiun.cpu.exact import Code
from kaiun.cpu.features import Found

Numbers = npt.NDArray[np.int64]
_GETTER = 192  # bytes: so small a function only tells what another has found out
_JMP_SHORT, _ESCAPE = 0xEB, 0x0F
# What stands before four bytes of distance: call, jmp, ModRM for an address relative to RIP (1),
# and the second byte of a conditional jump (2), before which there is 0F.
_LEADING = {0xE8, 0xE9, *(n << 3 | 5 for n in range(8))}
_LEADS = bytes(1 if byte in _LEADING else 2 if byte >> 4 == 8 else 0 for byte in range(256))
_CHUNK = 1 << 18  # bytes of code looked at together: stays in the second level cache
_SIEVE = (1 << 20) - 1  # most places that are no function's beginning fall through it
_LONGEST = 4096  # bytes of a function that are read for what it stores


@dataclass(frozen=True)
class _Graph:
    """Edges between functions by number, and which place in memory each function mentions."""

    source: Numbers
    target: Numbers
    place: Numbers  # mentioned by
    function: Numbers

    def readers(self, addresses: Iterable[int]) -> set[int]:
        """Return the functions that mention one of these addresses."""
        wanted = np.unique(np.fromiter(addresses, np.int64))
        hit = _mentioned(self.place, wanted) >= 0
        return set(self.function[hit].tolist())

    def callers(self, numbers: Iterable[int]) -> set[int]:
        wanted = np.fromiter(numbers, np.int64)
        return set(self.source[np.isin(self.target, wanted)].tolist())

    def reached(self, roots: set[int], stops: set[int], count: int) -> set[int]:
        """Return what is reached from `roots` by edges, without `stops` and what is behind."""
        seen = np.zeros(count, bool)
        seen[list(roots - stops)] = True
        shut = np.zeros(count, bool)
        shut[list(stops)] = True
        front = seen.copy()
        while front.any():
            further = np.zeros(count, bool)
            further[self.target[front[self.source]]] = True
            front = further & ~seen & ~shut
            seen |= front
        return set(np.flatnonzero(seen).tolist())


def unguarded(elf: Elf, found: Found) -> set[int]:
    """Return the functions that can be reached without a check of the CPU, by number."""
    graph = _graph(elf, found)
    roots = _roots(elf, found, graph)
    return graph.reached(roots, _checkers(elf, found, graph), len(found.functions.begin))


def _graph(elf: Elf, found: Found) -> _Graph:
    """Return calls, jumps between functions, addresses taken, and tables of addresses."""
    stubs = np.array(sorted(stub for stub, _ in _stubs(elf)), np.int64)
    high = max((int(s["address"] + s["memory"]) for s in elf.segments), default=0)
    known = np.sort(np.concatenate((found.functions.begin, stubs)))
    far = partial(_mentions, known=known, high=high)
    parts = [part(code) for code in found.codes for part in (_short, far)]
    place = np.concatenate([part[0] for part in parts])
    function = np.concatenate([part[1] for part in parts])
    called = _exactly(found.functions.begin, place)
    words, pointed = _slots(elf, found)
    by_word = _mentioned(place, words)
    source = np.concatenate((function[called >= 0], function[by_word >= 0]))
    target = np.concatenate((called[called >= 0], pointed[by_word[by_word >= 0]]))
    other = source != target
    return _Graph(source[other], target[other], place, function)


def _mentions(code: Code, known: Numbers, high: int) -> tuple[Numbers, Numbers]:
    """Return each place that code calls, jumps to, or addresses, and the function that does.

    Of places in code those that are `known`, of others those below `high`.
    """
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
    exact[inside] = _exactly(known, place[inside]) >= 0
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
    near = (_exactly(functions.begin, place) >= 0) & (functions.begin[source] != place)
    begin = np.maximum(functions.begin[source] - base, 0)
    real = code.coverings(at[near], begin[near]) == at[near]
    return place[near][real], source[near][real]


def _sieve(known: Numbers) -> npt.NDArray[np.bool_]:
    """Return which low bits, _SIEVE of them, known values have."""
    sieve = np.zeros(_SIEVE + 1, np.bool_)
    sieve[known & _SIEVE] = True
    return sieve


def _exactly(known: Numbers, wanted: Numbers) -> Numbers:
    """Return at which index of `known` (sorted) each wanted value stands, else -1."""
    found = np.full(len(wanted), -1)
    if len(known):
        near = np.flatnonzero((wanted >= known[0]) & (wanted <= known[-1]))
        index = np.searchsorted(known, wanted[near])
        found[near] = np.where(known[index] == wanted[near], index, -1)
    return found


def _mentioned(place: Numbers, known: Numbers) -> Numbers:
    """The same for places in memory: an immediate may follow the displacement."""
    index = np.full(len(place), -1)
    if len(known):
        near = np.flatnonzero((place >= known[0] - 4) & (place <= known[-1]))
        found = _exactly(known, place[near])
        for behind in (1, 4):
            found = np.where(found < 0, _exactly(known, place[near] + behind), found)
        index[near] = found
    return index


def _distances(data: bytes) -> npt.NDArray[np.int32]:
    """Return the four bytes at each place, read as a distance."""
    return np.ndarray(len(data) - 3, "<i4", data, strides=(1,))


def _slots(elf: Elf, found: Found) -> tuple[Numbers, Numbers]:
    """Return the words of memory, sorted, that the linker fills with a function's address."""
    table = elf.relocations
    symbols = elf.dynamic_symbols
    target = np.where(table["type"] == R_RELATIVE, table["addend"], -1)
    if symbols is not None and len(symbols.table):
        named = np.isin(table["type"], (R_64, R_GLOB_DAT))
        index = np.minimum(table["symbol"], len(symbols.table) - 1)
        value = symbols.table["value"][index].astype(np.int64) + table["addend"]
        target = np.where(named & (symbols.table["section"][index] != 0), value, target)
    number = _exactly(found.functions.begin, target)
    words = table["offset"][number >= 0].astype(np.int64)
    order = np.argsort(words)
    return words[order], number[number >= 0][order]


def _roots(elf: Elf, found: Found, graph: _Graph) -> set[int]:
    """Return what is called from outside, or by nobody that can be seen."""
    lonely = np.ones(len(found.functions.begin), bool)
    lonely[graph.target] = False
    roots = set(np.flatnonzero(lonely).tolist())
    symbols = elf.dynamic_symbols
    addresses = [elf.entry]
    if symbols is not None:
        table = symbols.table
        given = (table["info"] & 15 == STT_FUNC) & (table["section"] != 0)
        addresses += table["value"][given].tolist()
    return roots | set(_numbers(found, addresses))


def _checkers(elf: Elf, found: Found, graph: _Graph) -> set[int]:
    asking = {n for n, mask in found.masks.items() if mask & instructions.CHECK}
    asking |= graph.readers(_foreign(elf))
    asking |= _around(found, graph, asking)
    filled = {address for number in asking for address in _stores(found, number)}
    readers = graph.readers(filled) if filled else set()
    return asking | readers | _around(found, graph, readers) | _resolvers(elf, found)


def _around(found: Found, graph: _Graph, asked: set[int]) -> set[int]:
    """Return who calls those of `asked` that are small: helpers around cpuid, getters."""
    functions = found.functions
    small = (n for n in asked if functions.limit(n) - int(functions.begin[n]) <= _GETTER)
    return graph.callers(small)


def _foreign(elf: Elf) -> list[int]:
    """Return the addresses of what leads to other files' checks: words, and stubs of the PLT."""
    symbols = elf.dynamic_symbols
    if symbols is None or not len(symbols.table):
        return []
    table = elf.relocations
    index = np.minimum(table["symbol"], len(symbols.table) - 1)
    foreign = symbols.table["section"][index] == 0
    named = table[foreign & np.isin(table["type"], (R_GLOB_DAT, R_JUMP_SLOT, R_64))]
    words = {int(r["offset"]) for r in named if asks(symbols.name(int(r["symbol"])))}
    return [*words, *(stub for stub, word in _stubs(elf) if word in words)]


def _stubs(elf: Elf) -> list[tuple[int, int]]:
    """Return each entry of the PLT (16 bytes that jump on) with the word that it jumps by."""
    found = []
    for section in elf.sections:
        if section.name.startswith(".plt") and section.flags & SHF_EXECINSTR:
            data = elf.content(section) + bytes(8)
            view = np.frombuffer(data, np.uint8)
            places = np.flatnonzero((view[:-7] == 0xFF) & (view[1:-6] == 0x25))
            words = places + _distances(data)[places + 2] + (section.address + 6)
            stubs = section.address + places // 16 * 16
            found += list(zip(stubs.tolist(), words.tolist(), strict=True))
    return found


def _resolvers(elf: Elf, found: Found) -> set[int]:
    addresses = elf.relocations["addend"][elf.relocations["type"] == R_IRELATIVE].tolist()
    for symbols in elf.symbols:
        table = symbols.table
        addresses += table["value"][table["info"] & 15 == STT_GNU_IFUNC].tolist()
    return set(_numbers(found, addresses))


def _numbers(found: Found, addresses: list[int]) -> list[int]:
    begin = found.functions.begin
    number = _exactly(begin, np.array(addresses, np.int64))
    return [int(each) for each in number[number >= 0]]


def _stores(found: Found, number: int) -> list[int]:
    """Return the addresses that a function writes to, where they are fixed."""
    functions = found.functions
    begin, limit = int(functions.begin[number]), functions.limit(number)
    code = next((c for c in found.codes if c.section.address <= begin < c.section.end), None)
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


def _writes(each: iced.Instruction) -> bool:
    """Whether its first operand is memory, and it is no comparison."""
    compares = (iced.Mnemonic.CMP, iced.Mnemonic.TEST, iced.Mnemonic.CALL, iced.Mnemonic.JMP)
    return each.op0_kind == iced.OpKind.MEMORY and each.mnemonic not in compares
