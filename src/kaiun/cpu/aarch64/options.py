"""What GCC's -mcpu and -march of AArch64 let it use.

Source: GCC manual, "AArch64 Options"; the processors' features are those of families.
"""

from __future__ import annotations

from collections.abc import Iterable

from kaiun.cpu import families

_V8_1 = frozenset({"crc32", "atomics", "asimdrdm"})
_V8_3 = _V8_1 | {"dcpop", "jscvt", "fcma", "lrcpc", "paca", "pacg"}
_V8_4 = _V8_3 | {"asimddp", "flagm", "ilrcpc", "dit"}
_V8_5 = _V8_4 | {"sb", "ssbs", "frint", "flagm2"}
_V8_6 = _V8_5 | {"i8mm", "bf16"}
_NAMES = {
    "armv8.1-a": _V8_1, "armv8.2-a": _V8_1 | {"dcpop"}, "armv8.3-a": _V8_3, "armv8.4-a": _V8_4,
    "armv8.5-a": _V8_5, "armv8.6-a": _V8_6, "armv8.7-a": _V8_6, "armv8.8-a": _V8_6,
    "armv9-a": _V8_5 | {"sve", "sve2"}, "cortex-a72": families.CORTEX_A72,
    "neoverse-n1": families.NEOVERSE_N1, "neoverse-v1": families.NEOVERSE_V1,
    "neoverse-512tvb": families.NEOVERSE_V1, "neoverse-n2": families.NEOVERSE_V2,
    "neoverse-v2": families.NEOVERSE_V2,
}  # fmt: skip
_EXTENSIONS = {
    "lse": "atomics", "crc": "crc32", "crypto": "aes pmull sha1 sha2", "aes": "aes pmull",
    "sha2": "sha1 sha2", "fp16": "fphp asimdhp", "fp16fml": "asimdfhm", "rcpc": "lrcpc",
    "dotprod": "asimddp", "rdma": "asimdrdm", "sha3": "sha3 sha512", "sm4": "sm3 sm4",
    "sve2": "sve sve2", "memtag": "mte", "pauth": "paca pacg",
}  # fmt: skip


def features(option: str) -> frozenset[str]:
    """Return the features that code compiled with an option may use: "-march=armv8.2-a+sve"."""
    name, *extensions = option.partition("=")[2].split("+")
    return _NAMES.get(name, frozenset()) | _extended(extensions)


def _extended(extensions: Iterable[str]) -> frozenset[str]:
    named = (_EXTENSIONS.get(each, each).split() for each in extensions)
    return frozenset(feature for features in named for feature in features)
