"""Read what the scanner needs of a 64-bit little-endian ELF file; nothing is trusted.

A reader of our own because speed matters: pyelftools makes an object of each symbol (40,000 a
second), here tables are numpy arrays over the file's own bytes.
Source: System V ABI, chapters 4 and 5; AMD64 supplement.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAGIC = b"\x7fELF"
_TOO_HIGH = "an address is none that a process has"
_PREFIX = b"\x7fELF\x02\x01"  # 64 bits, little endian
ET_EXEC, ET_DYN = 2, 3
EM_X86_64, EM_AARCH64 = 62, 183
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_DYNSYM = (
    1,
    2,
    3,
    4,
    7,
    8,
    11,
)
SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 2, 4, 0x800
PT_LOAD, PT_DYNAMIC = 1, 2
STT_OBJECT, STT_FUNC, STT_GNU_IFUNC = 1, 2, 10
DT_SONAME = 14
_HIGHEST = 1 << 62  # addresses above are a kernel's, or wrong; sums of two fit into 64 bits
_LONGEST_NAME = 1 << 16  # bytes; what goes on is none

_SECTION = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("address", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("align", "<u8"),
        ("entry", "<u8"),
    ]
)
_SEGMENT = np.dtype(
    [
        ("type", "<u4"),
        ("flags", "<u4"),
        ("offset", "<u8"),
        ("address", "<u8"),
        ("physical", "<u8"),
        ("size", "<u8"),
        ("memory", "<u8"),
        ("align", "<u8"),
    ]
)
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
_RELA = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_DYNAMIC = np.dtype([("tag", "<i8"), ("value", "<u8")])

Array = npt.NDArray[np.void]


class BadElf(ValueError):
    """The file is cut or contradicts itself."""


class Relocation(NamedTuple):
    """The numbers that a machine's ABI gives to the kinds of dynamic relocations."""

    relative: int
    absolute: int
    global_data: int
    jump_slot: int
    irelative: int


RELOCATIONS = {  # sources: AMD64 supplement, 4.4.1; AAELF64, 5.7.11
    EM_X86_64: Relocation(8, 1, 6, 7, 37),
    EM_AARCH64: Relocation(1027, 257, 1025, 1026, 1032),
}


class Section(NamedTuple):
    """A section; of a file without section headers, an executable segment."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int = 0
    info: int = 0

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True, slots=True)
class Symbols:
    """A symbol table as arrays; its names are in the file's bytes, from `start` on."""

    table: Array
    data: bytes | mmap.mmap = field(repr=False)
    start: int

    def name(self, number: int) -> str:
        return _name(self.data, self.start + int(self.table["name"][number]))


class Elf:
    """One file. Properties raise BadElf where the file is cut short."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        if data[:6] != _PREFIX or len(data) < 64:
            raise BadElf("no 64-bit little-endian ELF file")
        self.data = data
        self.kind, self.machine = struct.unpack_from("<HH", data, 16)
        self.entry, self._phoff, self._shoff = struct.unpack_from("<QQQ", data, 24)
        if self.entry >= _HIGHEST:
            raise BadElf(_TOO_HIGH)
        self._phnum, _, self._shnum, self._shstrndx = struct.unpack_from("<4H", data, 56)

    @property
    def runs(self) -> bool:
        """Whether the file is a program or a shared library, not an object file."""
        return self.kind in (ET_EXEC, ET_DYN)

    @cached_property
    def segments(self) -> Array:
        return _low(self._array(_SEGMENT, self._phoff, self._phnum), "offset", "address", "memory")

    @cached_property
    def sections(self) -> list[Section]:
        """Return the sections; [] for a file that has none."""
        if not self._shoff or not self._shnum:
            return []
        table = _low(self._array(_SECTION, self._shoff, self._shnum), "offset", "address", "size")
        index = self._shstrndx if self._shstrndx < len(table) else 0
        start = int(table["offset"][index])
        names = self.data[start : start + int(table["size"][index])]
        return [Section(_name(names, row[0]), *row[1:8]) for row in table.tolist()]

    def section(self, name: str) -> Section | None:
        return next((each for each in self.sections if each.name == name), None)

    @cached_property
    def code(self) -> list[Section]:
        """Return what is executable, by address; the tables of jumps to other files left out."""
        found = [
            each
            for each in self.sections
            if each.flags & SHF_EXECINSTR
            and each.kind == SHT_PROGBITS
            and not each.name.startswith(".plt")
        ]
        if not self.sections:
            found = [
                Section(
                    ".text",
                    SHT_PROGBITS,
                    SHF_EXECINSTR,
                    *map(int, (s["address"], s["offset"], s["size"])),
                )
                for s in self.segments
                if s["type"] == PT_LOAD and s["flags"] & 1
            ]
        return sorted((each for each in found if each.size), key=lambda each: each.address)

    def view(self, section: Section) -> memoryview:
        """Return the section's bytes as they are in the file. Raises BadElf when it is shorter."""
        size = 0 if section.kind == SHT_NOBITS else section.size
        found = memoryview(self.data)[section.offset : section.offset + size]
        if len(found) != size:
            raise BadElf(f"{section.name} is cut short")
        return found

    def content(self, section: Section, padding: int = 0) -> bytes:
        """Return the section's bytes, and as many zeros. Raises BadElf when the file is shorter."""
        return b"".join((self.view(section), bytes(padding)))

    @cached_property
    def symbols(self) -> list[Symbols]:
        """Return .symtab and .dynsym, those that there are."""
        return [s for kind in (SHT_SYMTAB, SHT_DYNSYM) for s in self._symbols(kind)]

    @cached_property
    def dynamic_symbols(self) -> Symbols | None:
        return next(iter(self._symbols(SHT_DYNSYM)), None)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Return the names that other files must give."""
        found = self.dynamic_symbols
        if found is None:
            return frozenset()
        wanted = np.flatnonzero(found.table["section"] == 0)
        return frozenset(found.name(int(each)) for each in wanted) - {""}

    @cached_property
    def relocations(self) -> Array:
        """Return the dynamic relocations (RELA): offset, type, symbol, addend."""
        tables = [
            self._array(_RELA, s.offset, s.size // _RELA.itemsize)
            for s in self.sections
            if s.kind == SHT_RELA and s.flags & SHF_ALLOC
        ]
        return np.concatenate(tables) if tables else np.empty(0, _RELA)

    @property
    def relocation(self) -> Relocation:
        return RELOCATIONS[self.machine]

    @cached_property
    def soname(self) -> str:
        dynamic, strings = self.section(".dynamic"), self.section(".dynstr")
        if dynamic is None or strings is None or dynamic.kind == SHT_NOBITS:
            return ""
        table = self._array(_DYNAMIC, dynamic.offset, dynamic.size // _DYNAMIC.itemsize)
        for row in table[table["tag"] == DT_SONAME][:1]:
            start = strings.offset + int(row["value"])
            return self.data[start : self.data.find(b"\0", start)].decode("utf-8", "replace")
        return ""

    def read(self, address: int, count: int) -> bytes:
        """Return the bytes that are loaded at `address`; b"" where nothing is."""
        for each in self.segments:
            start, size = int(each["address"]), int(each["size"])
            if each["type"] == PT_LOAD and start <= address < start + size:
                offset = int(each["offset"]) + address - start
                return bytes(self.data[offset : offset + count])
        return b""

    def _symbols(self, kind: int) -> list[Symbols]:
        found = []
        for each in self.sections:
            if each.kind != kind or each.link >= len(self.sections):
                continue
            table = self._array(_SYMBOL, each.offset, each.size // _SYMBOL.itemsize)
            found.append(Symbols(table, self.data, self.sections[each.link].offset))
        return found

    def _array(self, dtype: np.dtype[np.void], offset: int, count: int) -> Array:
        if offset + count * dtype.itemsize > len(self.data):
            raise BadElf("a table ends behind the file")
        return np.frombuffer(self.data, dtype, count, offset)


def _low(table: Array, *fields: str) -> Array:
    """Return a table in which these fields are addresses that a process can have."""
    if any((table[each] >= _HIGHEST).any() for each in fields):
        raise BadElf(_TOO_HIGH)
    return table


def _name(names: bytes | mmap.mmap, start: int) -> str:
    end = names.find(b"\0", start, start + _LONGEST_NAME)
    return names[start : end if end >= 0 else start].decode("utf-8", "replace")
