"""CPU baselines: the psABI levels of x86-64, and the sets of features they stand for.

Features have the names of Linux's /proc/cpuinfo, but for `sse3` (there `pni`), `lzcnt` (`abm`)
and `sha` (`sha_ni`).
Source: System V ABI, AMD64 supplement, "Micro-Architecture Levels".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kaiun.errors import UsageError

X86 = "x86-64"
ARM = "aarch64"

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
BIT = {name: 1 << number for number, name in enumerate(FEATURES)}
assert len(FEATURES) <= 63  # noqa: S101 (a mask is kept as a signed 64-bit number)

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
        """Return those of `features` that it does not have, in the order of FEATURES."""
        return sorted(set(features) - self.features, key=FEATURES.index)


def to_mask(features: Iterable[str]) -> int:
    """Return features as bits; those that the scanner does not look for have none."""
    return sum(BIT.get(name, 0) for name in set(features))


def to_features(mask: int) -> tuple[str, ...]:
    return tuple(name for name in FEATURES if mask & BIT[name])


def level_of(features: Iterable[str]) -> str:
    """Return the lowest level that has all of `features`; "" when none does."""
    wanted = set(features)
    return next((name for name, has in LEVELS.items() if wanted <= has), "")


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
    if family := find(text):
        return Baseline(text, family.architecture, family.features)
    raise UsageError(
        f"{text!r} is no CPU baseline",
        hint="a level (x86-64, x86-64-v2, -v3, -v4), an EC2 family such as m5, or fargate",
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
