"""Which functions are reached only through a check of the CPU: a walk over the call graph.

A *checker* executes an instruction that asks (cpuid, xgetbv; on ARM, MRS of the registers that
tell), calls a small function that does, reads a variable that such
a function fills, asks another library, or is the resolver of an ifunc. The walk begins at what can
be called from outside and does not go on behind checkers: what it does not reach is guarded.
Edges are direct calls and jumps, addresses taken, and tables of addresses; how they are written,
an architecture's own module knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kaiun.cpu.elf import STT_FUNC, STT_GNU_IFUNC, Elf
from kaiun.cpu.evidence import asks
from kaiun.cpu.found import Found
from kaiun.cpu.levels import CHECK
from kaiun.cpu.places import exactly

Numbers = npt.NDArray[np.int64]
_GETTER = 192  # bytes: so small a function only tells what another has found out


class Mentions(Protocol):
    """What an architecture tells of the code of one file."""

    @property
    def slack(self) -> tuple[int, ...]:
        """Return how much too low, in bytes, a place may be beside exact."""

    def places(self, known: Numbers, high: int) -> tuple[Numbers, Numbers]:
        """Return each place that code calls, jumps to, or addresses, and the function that does.

        Of places in code those that are `known`, of others those below `high`.
        """

    def stubs(self) -> list[tuple[int, int]]:
        """Return each entry of the PLT with the word that it jumps by."""

    def stores(self, number: int) -> list[int]:
        """Return the addresses that a function writes to, where they are fixed."""


@dataclass(frozen=True)
class _Graph:
    """Edges between functions by number, and which place in memory each function mentions."""

    source: Numbers
    target: Numbers
    place: Numbers  # mentioned by
    function: Numbers
    slack: tuple[int, ...]

    def readers(self, addresses: Iterable[int]) -> set[int]:
        """Return the functions that mention one of these addresses."""
        wanted = np.unique(np.fromiter(addresses, np.int64))
        hit = _mentioned(self.place, wanted, self.slack) >= 0
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


def unguarded(elf: Elf, found: Found[Any], mentions: Mentions) -> set[int]:
    """Return the functions that can be reached without a check of the CPU, by number."""
    stubs = mentions.stubs()
    graph = _graph(elf, found, mentions, stubs)
    roots = _roots(elf, found, graph)
    checkers = _checkers(elf, found, graph, mentions, stubs)
    return graph.reached(roots, checkers, len(found.functions.begin))


def _graph(
    elf: Elf, found: Found[Any], mentions: Mentions, stubs: Iterable[tuple[int, int]]
) -> _Graph:
    """Return calls, jumps between functions, addresses taken, and tables of addresses."""
    entries = np.array(sorted(stub for stub, _ in stubs), np.int64)
    high = max((int(s["address"] + s["memory"]) for s in elf.segments), default=0)
    known = np.sort(np.concatenate((found.functions.begin, entries)))
    place, function = mentions.places(known, high)
    called = exactly(found.functions.begin, place)
    words, pointed = _slots(elf, found)
    by_word = _mentioned(place, words, mentions.slack)
    source = np.concatenate((function[called >= 0], function[by_word >= 0]))
    target = np.concatenate((called[called >= 0], pointed[by_word[by_word >= 0]]))
    other = source != target
    return _Graph(source[other], target[other], place, function, mentions.slack)


def _mentioned(place: Numbers, known: Numbers, slack: tuple[int, ...]) -> Numbers:
    """Return the same as `exactly`, also for a place that is too low by one of `slack`."""
    index = np.full(len(place), -1)
    if len(known):
        near = np.flatnonzero((place >= known[0] - max(slack, default=0)) & (place <= known[-1]))
        found = exactly(known, place[near])
        for behind in slack:
            found = np.where(found < 0, exactly(known, place[near] + behind), found)
        index[near] = found
    return index


def _slots(elf: Elf, found: Found[Any]) -> tuple[Numbers, Numbers]:
    """Return the words of memory, sorted, that the linker fills with a function's address."""
    table = elf.relocations
    symbols = elf.dynamic_symbols
    target = np.where(table["type"] == elf.relocation.relative, table["addend"], -1)
    if symbols is not None and len(symbols.table):
        named = np.isin(table["type"], (elf.relocation.absolute, elf.relocation.global_data))
        index = np.minimum(table["symbol"], len(symbols.table) - 1)
        value = symbols.table["value"][index].astype(np.int64) + table["addend"]
        target = np.where(named & (symbols.table["section"][index] != 0), value, target)
    number = exactly(found.functions.begin, target)
    words = table["offset"][number >= 0].astype(np.int64)
    order = np.argsort(words)
    return words[order], number[number >= 0][order]


def _roots(elf: Elf, found: Found[Any], graph: _Graph) -> set[int]:
    """Return what is called from outside, or by nobody that can be seen."""
    lonely = np.ones(len(found.functions.begin), bool)
    lonely[graph.target] = False
    roots = set(np.flatnonzero(lonely).tolist())
    symbols = elf.dynamic_symbols
    addresses = [elf.entry]
    if symbols is not None:
        table = symbols.table
        given = (table["info"] & 15 == STT_FUNC) & (table["section"] != 0)
        addresses += table["value"][given].astype(np.int64).tolist()
    return roots | set(_numbers(found, addresses))


def _checkers(
    elf: Elf,
    found: Found[Any],
    graph: _Graph,
    mentions: Mentions,
    stubs: Iterable[tuple[int, int]],
) -> set[int]:
    asking = {n for n, mask in found.masks.items() if mask & CHECK}
    asking |= graph.readers(_foreign(elf, stubs))
    asking |= _around(found, graph, asking)
    filled = {address for number in asking for address in mentions.stores(number)}
    readers = graph.readers(filled) if filled else set()
    return asking | readers | _around(found, graph, readers) | _resolvers(elf, found)


def _around(found: Found[Any], graph: _Graph, asked: set[int]) -> set[int]:
    """Return who calls those of `asked` that are small: helpers around cpuid, getters."""
    functions = found.functions
    small = (n for n in asked if functions.limit(n) - int(functions.begin[n]) <= _GETTER)
    return graph.callers(small)


def _foreign(elf: Elf, stubs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the addresses of what leads to other files' checks: words, and stubs of the PLT."""
    symbols = elf.dynamic_symbols
    if symbols is None or not len(symbols.table):
        return []
    table, kinds = elf.relocations, elf.relocation
    index = np.minimum(table["symbol"], len(symbols.table) - 1)
    foreign = symbols.table["section"][index] == 0
    bound = (kinds.global_data, kinds.jump_slot, kinds.absolute)
    named = table[foreign & np.isin(table["type"], bound)]
    words = {int(r["offset"]) for r in named if asks(symbols.name(int(r["symbol"])), elf.machine)}
    return [*words, *(stub for stub, word in stubs if word in words)]


def _resolvers(elf: Elf, found: Found[Any]) -> set[int]:
    addresses = elf.relocations["addend"][
        elf.relocations["type"] == elf.relocation.irelative
    ].tolist()
    for symbols in elf.symbols:
        table = symbols.table
        chosen = table["info"] & 15 == STT_GNU_IFUNC
        addresses += table["value"][chosen].astype(np.int64).tolist()
    return set(_numbers(found, addresses))


def _numbers(found: Found[Any], addresses: list[int]) -> list[int]:
    begin = found.functions.begin
    number = exactly(begin, np.array(addresses, np.int64))
    return [int(each) for each in number[number >= 0]]
