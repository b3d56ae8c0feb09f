"""The functions of a file: where each begins, how far it is known to reach, what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kaiun.cpu import ehframe
from kaiun.cpu.elf import STT_FUNC, STT_GNU_IFUNC, STT_OBJECT, Elf

Numbers = npt.NDArray[np.int64]
_TABLE = 1 << 32  # more rows than a table of symbols has


@dataclass(frozen=True)
class Functions:
    """Sorted by address. Each `begin` opens a part of the code that the next one ends.

    `end` is what symbol or unwind table say; behind it, up to the next, there is padding or data.
    """

    begin: Numbers
    end: Numbers
    elf: Elf = field(repr=False)

    def at(self, addresses: Numbers) -> Numbers:
        """Return, for each address, the number of the function whose part it is in."""
        return np.searchsorted(self.begin, addresses, side="right") - 1

    def of(self, addresses: Numbers) -> Numbers:
        """Return the same for sorted addresses, which may be far more than functions."""
        if not len(addresses):
            return np.empty(0, np.int64)
        first, last = self.at(addresses[[0, -1]]).tolist()
        if last - first > len(addresses):
            return self.at(addresses)
        ends = np.searchsorted(addresses, self.begin[first + 1 : last + 1])
        counts = np.diff(ends, prepend=0, append=len(addresses))
        return np.repeat(np.arange(first, last + 1), counts)

    def limit(self, number: int) -> int:
        """Return where the part of a function ends: at the next one."""
        if number + 1 < len(self.begin):
            return int(self.begin[number + 1])
        return max((section.end for section in self.elf.code), default=0)

    def name(self, number: int) -> str:
        """Return the function's symbol, else its address as sub_401000."""
        address = int(self.begin[number])
        value, symbol = self._named
        at = int(np.searchsorted(value, address))
        if at == len(value) or value[at] != address:
            return f"sub_{address:x}"
        table, row = divmod(int(symbol[at]), _TABLE)
        return self.elf.symbols[table].name(row) or f"sub_{address:x}"

    @cached_property
    def _named(self) -> tuple[Numbers, Numbers]:
        """Return the functions' addresses, sorted, with table and row of the symbol of each.

        Of symbols with one address the first comes first: few are asked for, so names are not read.
        """
        values, symbols = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number, each in enumerate(self.elf.symbols):
            table = each.table
            kind = table["info"] & 15
            function = (kind == STT_FUNC) | (kind == STT_GNU_IFUNC)
            chosen = np.flatnonzero(function & (table["section"] != 0))
            values.append(table["value"][chosen].astype(np.int64))
            symbols.append(chosen + number * _TABLE)
        value, symbol = np.concatenate(values), np.concatenate(symbols)
        order = np.argsort(value, kind="stable")
        return value[order], symbol[order]


def find(elf: Elf) -> Functions:
    """Return the functions of the file, from symbols and unwind tables."""
    parts = [ehframe.ranges(elf)]
    for symbols in elf.symbols:
        parts += _of_symbols(symbols.table)
    starts = np.array([section.address for section in elf.code], np.int64)
    parts.append((starts, starts))
    begin = np.concatenate([part[0] for part in parts])
    end = np.concatenate([part[1] for part in parts])
    return merged(elf, begin, end)


def _of_symbols(table: npt.NDArray[np.void]) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield beginnings and ends of functions, and of tables in the code: their ends are none."""
    kind = table["info"] & 15
    here = table["section"] != 0
    chosen = table[((kind == STT_FUNC) | (kind == STT_GNU_IFUNC)) & here]
    begin = chosen["value"].astype(np.int64)
    yield begin, begin + chosen["size"].astype(np.int64)
    begin = table["value"][(kind == STT_OBJECT) & here].astype(np.int64)
    yield begin, begin


def merged(elf: Elf, begin: Numbers, end: Numbers) -> Functions:
    """Sort them; of several that begin in one place the longest counts."""
    inside = np.zeros(len(begin), bool)
    for section in elf.code:
        inside |= (begin >= section.address) & (begin < section.end)
    begin, end = begin[inside], end[inside]
    order = np.argsort(begin, kind="stable")  # quick where runs are sorted, as unwind tables are
    begin, end = begin[order], end[order]
    if not len(begin):
        return Functions(begin, end, elf)
    first = np.flatnonzero(np.concatenate(([True], begin[1:] != begin[:-1])))
    end = np.maximum.accumulate(np.maximum.reduceat(end, first))
    return Functions(begin[first], end, elf)
