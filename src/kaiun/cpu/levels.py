"""CPU baselines: the psABI levels of x86-64, and the sets of features they stand for.

Features have the names of Linux's /proc/cpuinfo, but for `sse3` (there `pni`), `lzcnt` (`abm`)
and `sha` (`sha_ni`). ARM has no such levels: what is between Armv8.0-A and the newest are the
generations of Graviton (see families).
Sources: System V ABI, AMD64 supplement, "Micro-Architecture Levels"; Linux's elf_hwcaps.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kaiun.errors import UsageError

X86 = "x86-64"
ARM = "aarch64"
ARM_BASE = "armv8-a"  # what every AArch64 CPU has

_V2 = ("sse3", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16")
_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_V4 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_BEYOND = (
    *("aes", "pclmulqdq", "rdrand", "rdseed", "adx", "sha", "fsgsbase", "clflushopt", "clwb"),
    *("xsaveopt", "xsavec", "rdpid", "gfni", "vaes", "vpclmulqdq", "avx_vnni", "avx_vnni_int8"),
    *("avx512ifma", "avx512vbmi", "avx512_vbmi2", "avx512_vnni", "avx512_bitalg"),
    *("avx512_vpopcntdq", "avx512_bf16", "avx512_fp16", "avx512_vp2intersect", "avx512er"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("sse4a", "xop", "fma4", "tbm", "3dnow", "rtm", "waitpkg", "movdiri", "movdir64b"),
    *("serialize", "enqcmd", "clzero"),
)
FEATURES = (*_V2, *_V3, *_V4, *_BEYOND)  # the order is that of the bits in a mask
# Those above Armv8.0-A. Linux has names of its own for SVE with i8mm and bf16: here both are told.
ARM_FEATURES = (
    *("crc32", "pmull", "sha1", "sha2", "atomics", "asimdrdm", "fphp", "asimdhp", "dcpop"),
    *("lrcpc", "jscvt", "fcma", "asimddp", "asimdfhm", "sha3", "sha512", "sm3", "sm4", "dit"),
    *("ilrcpc", "flagm", "paca", "pacg", "ssbs", "sb", "flagm2", "frint", "dcpodp", "rng", "mte"),
    *("i8mm", "bf16", "sve", "svef32mm", "svef64mm", "sve2", "sveaes", "svepmull", "svebitperm"),
    *("svesha3", "svesm4", "sve2p1", "sme", "ecv", "wfxt", "mops", "hbc", "cssc", "lrcpc3"),
    "lse128",
)
ORDER = (*FEATURES, *ARM_FEATURES)  # in which they are shown; `aes` is a name of both
_FREE = (number for number in range(62) if number != FEATURES.index("aes"))
BIT = {name: 1 << number for number, name in enumerate(FEATURES)} | {
    name: 1 << number for name, number in zip(ARM_FEATURES, _FREE, strict=False)
}
CHECK = 1 << 62  # beside the features: the function asks the CPU what it can do
# A mask is kept as a signed 64-bit number.
assert len(FEATURES) <= 62 > len(ARM_FEATURES) and set(BIT) == set(ORDER)  # noqa: S101

LEVELS = {
    "x86-64": frozenset[str](),
    "x86-64-v2": frozenset(_V2),
    "x86-64-v3": frozenset(_V2 + _V3),
    "x86-64-v4": frozenset(_V2 + _V3 + _V4),
}
_CPUINFO = {"pni": "sse3", "abm": "lzcnt", "sha_ni": "sha"}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a machine is sure to have, under the name by which it was asked for."""

    name: str
    architecture: str  # X86 or ARM
    features: frozenset[str]

    @property
    def mask(self) -> int:
        return to_mask(self.features)

    def lacks(self, features: Iterable[str]) -> list[str]:
        """Return those of `features` that it does not have, in the order of ORDER."""
        return sorted(set(features) - self.features, key=ORDER.index)


def to_mask(features: Iterable[str]) -> int:
    """Return features as bits; those that the scanner does not look for have none."""
    return sum(BIT.get(name, 0) for name in set(features))


def to_features(mask: int, architecture: str = X86) -> tuple[str, ...]:
    names = FEATURES if architecture == X86 else ("aes", *ARM_FEATURES)
    return tuple(name for name in names if mask & BIT[name])


def named(name: str) -> Baseline:
    """Return a level by its psABI name. Raises KeyError."""
    return Baseline(name, X86, LEVELS[name])


def parse(text: str) -> Baseline:
    """Return the baseline of a level, an EC2 family, an instance type, Graviton or Fargate.

    Raises UsageError for a name that none of them has.
    """
    from kaiun.cpu.families import find

    if text in LEVELS:
        return named(text)
    if text == ARM_BASE:
        return Baseline(text, ARM, frozenset())
    if family := find(text):
        return Baseline(text, family.architecture, family.features)
    raise UsageError(
        f"{text!r} is no CPU baseline",
        hint="a level (x86-64, x86-64-v2, -v3, -v4), graviton2, an EC2 family, or fargate",
    )


def of_cpuinfo(text: str) -> Baseline:
    """Return the baseline of the machine whose /proc/cpuinfo this is.

    Machines of several kinds of cores: what all of them have. An ARM machine has `Features`.
    """
    found: list[frozenset[str]] = []
    architecture = X86
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            architecture = X86 if key.strip() == "flags" else ARM
            found.append(frozenset(_CPUINFO.get(each, each) for each in value.split()))
    return Baseline("this machine", architecture, frozenset.intersection(*found or [frozenset()]))
