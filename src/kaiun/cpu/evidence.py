"""What in a file tells that it asks the CPU before it uses new instructions, or does not."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from kaiun.cpu.elf import EM_AARCH64, EM_X86_64, SHF_COMPRESSED, STT_GNU_IFUNC, Elf, Section
from kaiun.cpu.found import Found
from kaiun.cpu.levels import CHECK

# Names of functions and variables by which libraries ask others what the CPU can do.
_ASKS = re.compile(
    r"__cpu_(model|indicator_init|features2)|__x86_get_cpu|_dl_x86|_?cpu_?id|get_cpuid"
    r"|cpu_?(flag|feature|support|detect|info|cap|has)|(has|have|support)s?_?(avx|sse|bmi|fma)"
    r"|ia32cap|(get|init|test|check)_?cpu|simd_?(level|support|detect)|host_?cpu|processor_?feature"
    r"|(supported|chosen)_?targets?",
    re.IGNORECASE,
)
# The same on ARM: of the kernel by getauxval, in libgcc's and in compiler-rt's way, in glibc's own.
_ASKS_ARM = re.compile(
    r"getauxval|elf_aux_info|__aarch64_(cpu|have)|__init_cpu_features|_rtld_global_ro|hwcap"
    r"|cpu_?(flag|feature|support|detect|info|cap|has)|_?cpu_?id|arm_?cap|simd_?(level|support)"
    r"|(has|have|support)s?_?(neon|sve|sme|lse|crc32|dotprod|i8mm|bf16)|(get|init|test|check)_?cpu"
    r"|processor_?feature|host_?cpu|(supported|chosen)_?targets?",
    re.IGNORECASE,
)
# GCC writes the sizes of this machine's caches into the options when it was given -march=native.
# Source: GCC, gcc/config/i386/driver-i386.cc, detect_caches_*.
_NATIVE = b"--param=l1-cache-size"
_MARCH = re.compile(rb"-march=([\w-]+)")
_INSTRUCTIONS = {EM_X86_64: "cpuid", EM_AARCH64: "mrs of a register that tells"}
_TEXTS = (".debug_str", ".debug_line_str", ".GCC.command.line", ".comment")
_ISA_NEEDED = 0xC0008002  # GNU_PROPERTY_X86_ISA_1_NEEDED
_ISA_LEVELS = ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`checks`: how the file asks the CPU; `native`: the CPU that -march=native stood for;

    `needed`: the level that the linker wrote down as needed; each empty where there is none.
    """

    checks: tuple[str, ...]
    native: str
    needed: str


@lru_cache(1 << 16)
def asks(name: str, machine: int) -> bool:
    """Whether a function or variable of this name tells what the CPU can do."""
    return (_ASKS_ARM if machine == EM_AARCH64 else _ASKS).search(name) is not None


def gather(elf: Elf, found: Found[Any]) -> Evidence:
    """Return the evidence of one file; where nothing is above any baseline only its own note."""
    if not any(mask & ~CHECK for mask in found.masks.values()):
        return Evidence((), "", _needed(elf))
    return Evidence(tuple(_checks(elf, found)), _native(elf), _needed(elf))


def _checks(elf: Elf, found: Found[Any]) -> list[str]:
    numbers = [n for n, mask in found.masks.items() if mask & CHECK]
    shown = ", ".join(found.functions.name(number) for number in numbers[:2])
    checks = [f"{_INSTRUCTIONS[elf.machine]} in {shown}"] if numbers else []
    asked = sorted(name for name in elf.imports if asks(name, elf.machine))
    checks += [f"imports {name}" for name in asked[:3]]
    if _ifuncs(elf):
        checks.append("STT_GNU_IFUNC")
    return checks


def _ifuncs(elf: Elf) -> bool:
    """Whether the dynamic linker asks this file which of several functions it should bind."""
    if any(np.any(s.table["info"] & 15 == STT_GNU_IFUNC) for s in elf.symbols):
        return True
    return bool(np.any(elf.relocations["type"] == elf.relocation.irelative))


def _native(elf: Elf) -> str:
    """Return the processor that -march=native became when this was compiled, "" otherwise."""
    for text in texts(elf):
        at = text.find(_NATIVE)
        if at >= 0:
            line = text[text.rfind(b"\0", 0, at) + 1 : at]
            march = _MARCH.search(line)
            return march[1].decode() if march else "native"
    return ""


def texts(elf: Elf) -> Iterator[bytes]:
    """Yield what sections may hold of the command lines of compilers."""
    for name in _TEXTS:
        section = elf.section(name)
        if section:
            yield _inflated(elf, section)


def _inflated(elf: Elf, section: Section) -> bytes:
    """Return a section's bytes, also of one that is compressed by zlib (ELFCOMPRESS_ZLIB)."""
    content = elf.content(section)
    if not section.flags & SHF_COMPRESSED:
        return content
    kind = struct.unpack_from("<I", content)[0] if len(content) >= 24 else 0
    try:
        return zlib.decompress(content[24:]) if kind == 1 else b""
    except zlib.error:
        return b""


def _needed(elf: Elf) -> str:
    """Return the level of GNU_PROPERTY_X86_ISA_1_NEEDED.

    Source: AMD64 ABI supplement, "Program Property".
    """
    section = elf.section(".note.gnu.property")
    content = elf.content(section) if section else b""
    at, found = 16, ""  # behind the note's header and its name, "GNU"
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind == _ISA_NEEDED and at + 12 <= len(content):
            bits = struct.unpack_from("<I", content, at + 8)[0]
            found = next(
                (n for b, n in reversed(list(enumerate(_ISA_LEVELS))) if bits >> b & 1), ""
            )
        at += 8 + (size + 7) // 8 * 8
    return found
