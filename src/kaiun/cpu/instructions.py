"""What single instructions need, asked of iced-x86: the decoder that has the last word.

iced knows the CPUID feature of every instruction. GCC writes `rep bsf` in baseline code, which is
TZCNT by its bytes and means the same on every CPU for the operands that GCC gives it, so TZCNT
counts as no feature; `rep bsr` (LZCNT) differs in its result and does count. Neither do FISTTP
(SSE3, in code for the x87; all of EC2 has it), instructions that older CPUs take for a NOP, and
those that only a kernel may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, reduce
from operator import or_
from typing import Any, cast

import iced_x86 as iced

from kaiun.cpu.levels import BIT, CHECK

_CHECKS = frozenset({iced.Code.CPUID, iced.Code.XGETBV})

_RENAMED = {
    "CMPXCHG16B": "cx16",
    "D3NOW": "3dnow",
    "D3NOWEXT": "3dnow",
    "AVX512BW": "avx512bw",
    "AVX512_IFMA": "avx512ifma",
    "AVX512_VBMI": "avx512vbmi",
    "AMX_FP16": "amx_tile",
    "AMX_COMPLEX": "amx_tile",
    # Of one generation that no EC2 family has yet.
    **dict.fromkeys(
        (
            *("AVX_IFMA", "AVX_NE_CONVERT", "AVX_VNNI_INT16", "SHA512", "SM3", "SM4"),
            "CMPCCXADD",
        ),
        "avx_vnni_int8",
    ),
}
_UNTOLD = frozenset({iced.Mnemonic.TZCNT, iced.Mnemonic.FISTTP})
_PRIVILEGED_OR_ODD = frozenset(
    getattr(iced.Mnemonic, name)
    for name in (
        *("IN", "OUT", "INSB", "INSW", "INSD", "OUTSB", "OUTSW", "OUTSD", "CLI", "STI", "IRET"),
        *("IRETD", "IRETQ", "HLT", "LGDT", "LIDT", "LLDT", "LTR", "LMSW", "CLTS", "INVD", "WBINVD"),
        *("RDMSR", "WRMSR", "SYSRET", "SYSEXIT", "SYSENTER", "RSM", "INT1", "INT", "ENTER", "FNOP"),
        *("XLATB", "LOOP", "LOOPE", "LOOPNE", "JRCXZ", "JECXZ", "LAR", "LSL", "VERR", "VERW"),
        *("FBLD", "FBSTP", "FICOM", "FICOMP", "FISUB", "FISUBR", "SAHF", "CMC", "STD", "RETF"),
    )
)
_NOT_VECTOR = frozenset(
    getattr(iced.Mnemonic, name)
    for name in (
        *("PREFETCHT0", "PREFETCHT1", "PREFETCHT2", "PREFETCHNTA", "SFENCE", "LFENCE", "MFENCE"),
        *("MOVNTI", "LDMXCSR", "STMXCSR", "VLDMXCSR", "VSTMXCSR", "MASKMOVQ", "PSHUFW"),
    )
)
_VECTOR_FEATURES = frozenset({iced.CpuidFeature.SSE, iced.CpuidFeature.SSE2})


@cache
def _bits() -> dict[int, int]:
    """Return the bit of each of iced's CPUID features; 0 for those that are not looked for."""
    numbers = {name: n for name, n in vars(iced.CpuidFeature).items() if isinstance(n, int)}
    return {n: BIT.get(_RENAMED.get(name, name.lower()), 0) for name, n in numbers.items()}


class Decoder:
    """Decodes single instructions of one run of code; addresses are offsets into it."""

    def __init__(self, code: bytes) -> None:
        self.raw = iced.Decoder(64, code)
        self.found = iced.Instruction()

    def at(self, offset: int) -> iced.Instruction:
        """Return the instruction at an offset. The object is used again by the next call."""
        self.raw.position = offset
        self.raw.ip = offset
        self.raw.decode_out(self.found)
        return self.found

    def last(self, begin: int, limit: int) -> int:
        """Return where the last instruction begins that does so at `limit` at most."""
        raw, found = self.raw, self.found
        raw.position = here = behind = begin
        while behind <= limit:
            here = behind
            raw.decode_out(found)
            behind = raw.position
        return here

    def codes(self, offsets: Iterable[int]) -> Iterator[int]:
        """Yield iced's code of the instruction at each offset; of a negative one, that of none."""
        raw, found = self.raw, self.found
        for offset in offsets:
            if offset < 0:
                yield iced.Code.INVALID
                continue
            raw.position = offset
            raw.decode_out(found)
            yield found.code


@cache
def _mask_of(code: int) -> int:
    if code == iced.Code.INVALID or info(code).mnemonic in _UNTOLD:
        return 0
    return reduce(or_, (_bits()[n] for n in _needs(code)), 0)


def info(code: int) -> iced.OpCodeInfo:
    return iced.OpCodeInfo(cast("Any", code))


def _needs(code: int) -> list[int]:
    """Return iced's CPUID features of an instruction, any one with this code."""
    example = iced.Instruction()
    example.code = cast("Any", code)
    return list(example.cpuid_features())


@cache
def masks() -> list[int]:
    """Return the features of every instruction that iced knows, as bits, by its code."""
    codes = [n for n in vars(iced.Code).values() if isinstance(n, int)]
    found = [0] * (max(codes) + 1)
    for code in codes:
        found[code] = _mask_of(code) | (CHECK if code in _CHECKS else 0)
    return found


@cache
def is_odd(code: int) -> bool:
    """Whether compilers do not write this instruction: a sign that data was decoded."""
    return code == iced.Code.INVALID or info(code).mnemonic in _PRIVILEGED_OR_ODD


@cache
def is_vector(code: int) -> bool:
    """Whether it is an instruction of SSE or SSE2 that AVX has too, so that GCC would write VEX."""
    known = info(code)
    if known.encoding != iced.EncodingKind.LEGACY or known.mnemonic in _NOT_VECTOR:
        return False
    return any(each in _VECTOR_FEATURES for each in _needs(code))
