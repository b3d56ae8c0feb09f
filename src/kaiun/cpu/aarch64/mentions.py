"""What code for AArch64 calls, and which places in memory it mentions: the edges of guards' graph.

Of a variable that is used by way of the global offset table, both the table's word and the variable
are mentioned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kaiun.cpu.aarch64 import pointers, registers
from kaiun.cpu.aarch64.words import Words, branches
from kaiun.cpu.elf import SHF_EXECINSTR, STT_FUNC, Elf
from kaiun.cpu.found import Found
from kaiun.cpu.places import exactly

Numbers = npt.NDArray[np.int64]
_LONGEST = 4096  # bytes of a function that are read for what it stores
# Of an entry of the PLT: adrp x16, ldr x17 from there; `bti c` may stand before.
_ADRP_X16 = 0x9F00001F, 0x90000010
_LDR_X17 = 0xFFC003FF, 0xF9400211
_BTI_C = 0xD503245F


@dataclass(frozen=True)
class Mentions:
    """What guards asks of one file's code."""

    elf: Elf
    found: Found[Words]
    slack = ()

    def places(self, known: Numbers, high: int) -> tuple[Numbers, Numbers]:
        """Return each place that code calls, jumps to, or addresses, and the function that does.

        Of places in code those that are `known`, of others those below `high`.
        """
        parts = [self._of(code) for code in self.found.codes]
        place = np.concatenate([part[0] for part in parts])
        source = np.concatenate([part[1] for part in parts])
        inside = (place >= known[0]) & (place <= known[-1])
        real = ~inside & (place >= 0) & (place < high)
        real[inside] = exactly(known, place[inside]) >= 0
        return place[real], self.found.functions.at(source[real])

    def _of(self, code: Words) -> tuple[Numbers, Numbers]:
        """Return the places that a section's code mentions, and the addresses where it does."""
        jumps = branches(code.words)
        made = code.pointers
        word, value = self._variables
        by_word = exactly(word, made.address)
        through = by_word >= 0
        place = [*(code.address(to) for _, to in jumps), made.address, value[by_word[through]]]
        source = [*(at for at, _ in jumps), made.at, made.at[through]]
        return np.concatenate(place), code.address(np.concatenate(source))

    @cached_property
    def _variables(self) -> tuple[Numbers, Numbers]:
        """Return the words, sorted, that the linker fills with addresses of our own variables."""
        table, symbols = self.elf.relocations, self.elf.dynamic_symbols
        if symbols is None or not len(symbols.table):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows = symbols.table[np.minimum(table["symbol"], len(symbols.table) - 1)]
        ours = (rows["section"] != 0) & (rows["info"] & 15 != STT_FUNC)
        chosen = ours & (table["type"] == self.elf.relocation.global_data)
        relative = table["type"] == self.elf.relocation.relative
        value = np.where(chosen, rows["value"].astype(np.int64), 0) + table["addend"]
        filled = chosen | relative
        word, value = table["offset"][filled].astype(np.int64), value[filled].astype(np.int64)
        order = np.argsort(word, kind="stable")
        return word[order], value[order]

    def stubs(self) -> list[tuple[int, int]]:
        """Return each entry of the PLT with the word that it jumps by."""
        found = []
        for section in self.elf.sections:
            if section.name.startswith(".plt") and section.flags & SHF_EXECINSTR:
                words = Words(self.elf, section).words
                at = np.flatnonzero(_fits(words[:-1], _ADRP_X16) & _fits(words[1:], _LDR_X17))
                used = pointers.find(words, section.address)
                loads = dict(zip(used.at.tolist(), used.address.tolist(), strict=True))
                for place in at.tolist():
                    entry = place - 1 if place and words[place - 1] == _BTI_C else place
                    found.append((section.address + 4 * entry, loads[place + 1]))
        return found

    def stores(self, number: int) -> list[int]:
        """Return the addresses that a function writes to, where they are fixed."""
        functions = self.found.functions
        begin, limit = int(functions.begin[number]), functions.limit(number)
        for code in self.found.codes:
            if code.base <= begin < code.section.end:
                first, last = (
                    (begin - code.base) // 4,
                    (min(limit, begin + _LONGEST) - code.base) // 4,
                )
                return registers.stores(code.words[first:last].tolist(), begin, self._word_values)
        return []

    @cached_property
    def _word_values(self) -> dict[int, int]:
        word, value = self._variables
        return dict(zip(word.tolist(), value.tolist(), strict=True))


def _fits(words: npt.NDArray[np.uint32], row: tuple[int, int]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = words & np.uint32(row[0]) == row[1]
    return found
