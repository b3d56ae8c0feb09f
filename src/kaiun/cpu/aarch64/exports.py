"""Exported functions that a compiler wrote for a newer CPU, under a name that does not say so.

Libraries that choose at run time export what chooses, and sometimes versions too, but these are
named after what they need, or written in assembly: `sgemm_kernel_NEOVERSEV1`, `I444ToARGBRow_SVE2`.
With -mcpu the compiler puts new instructions into whatever function there is.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kaiun.cpu import ehframe
from kaiun.cpu.elf import STT_FUNC, Elf
from kaiun.cpu.found import Found
from kaiun.cpu.levels import CHECK
from kaiun.cpu.places import exactly

_NAMED = re.compile(
    r"neon|simd|sve|sme|i8mm|bf16|dotprod|fp16|armv?[89]|v8|aarch64|arm64|neoverse|cortex|a64fx"
    r"|thunderx|falkor|tsv110|emag|kunpeng|apple|lse|crc|aes|sha\d|sm[34]|p?mull?_|clmul|_ce\b|rndr"
    r"|cpuid|hwcap|probe|__aarch64_",
    re.IGNORECASE,
)


def plain(elf: Elf, found: Found[Any]) -> set[int]:
    """Return such functions by number, whoever asks the CPU in them or before them."""
    symbols, functions = elf.dynamic_symbols, found.functions
    if symbols is None:
        return set()
    needing = np.array([n for n, mask in found.masks.items() if mask & ~CHECK], np.int64)
    begin = functions.begin[needing]
    unwound = exactly(ehframe.ranges(elf)[0], begin) >= 0
    given = symbols.table[
        (symbols.table["info"] & 15 == STT_FUNC) & (symbols.table["section"] != 0)
    ]
    exported = exactly(np.unique(given["value"].astype(np.int64)), begin) >= 0
    numbers = needing[unwound & exported].tolist()
    return {n for n in numbers if not _NAMED.search(functions.name(n))}
