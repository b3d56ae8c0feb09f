"""What the CPUs of EC2 instance families, and of Fargate, are sure to have.

AWS names the processor of a family, not its CPU flags; a family may run on several processors, and
what counts is the oldest. `grade` tells how well each row is known:
    A  the flags were read on such a machine, or AWS documents them
    B  follows from the processor that AWS names
    C  a guess on the safe side: AWS promises nothing
Sources: aws.amazon.com/ec2/instance-types (processors by family); archspec's
microarchitectures.json (flags by processor); docs.aws.amazon.com/AmazonECS, "Fargate task CPU";
of Graviton github.com/aws/aws-graviton-getting-started, "HWCAP by Generation".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from kaiun.cpu.levels import ARM, ARM_BASE, LEVELS, X86, Baseline

_V2, _V3, _V4 = (LEVELS[f"x86-64-v{number}"] for number in (2, 3, 4))
_CRYPTO = frozenset({"aes", "pclmulqdq"})
SANDY_BRIDGE = _V2 | _CRYPTO | {"avx", "xsave", "xsaveopt"}
HASWELL = _V3 | SANDY_BRIDGE | {"rdrand", "fsgsbase"}
BROADWELL = HASWELL | {"rdseed", "adx"}
SKYLAKE = _V4 | BROADWELL | {"clflushopt", "clwb", "xsavec"}
ICE_LAKE = SKYLAKE | {
    *("sha", "rdpid", "gfni", "vaes", "vpclmulqdq", "avx512ifma", "avx512vbmi"),
    *("avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_vpopcntdq"),
}
SAPPHIRE_RAPIDS = ICE_LAKE | {
    *("avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"),
    *("waitpkg", "movdiri", "movdir64b", "serialize"),
}
ZEN = _V3 | _CRYPTO | {
    *("rdrand", "rdseed", "adx", "fsgsbase", "sha", "sse4a", "clflushopt", "clzero"),
    *("xsaveopt", "xsavec"),
}  # fmt: skip
ZEN2 = ZEN | {"clwb", "rdpid"}
ZEN3 = ZEN2 | {"vaes", "vpclmulqdq"}
ZEN4 = _V4 | ZEN3 | {
    *("gfni", "avx512ifma", "avx512vbmi", "avx512_vbmi2", "avx512_vnni", "avx512_bitalg"),
    *("avx512_vpopcntdq", "avx512_bf16"),
}  # fmt: skip
ZEN5 = ZEN4 | {"avx_vnni", "movdiri", "movdir64b", "avx512_vp2intersect"}

CORTEX_A72 = frozenset({"aes", "pmull", "sha1", "sha2", "crc32"})
NEOVERSE_N1 = CORTEX_A72 | {
    *("atomics", "fphp", "asimdhp", "asimdrdm", "lrcpc", "dcpop", "asimddp", "ssbs"),
}  # fmt: skip
_FROM_V1 = NEOVERSE_N1 | {
    *("jscvt", "fcma", "sha3", "sha512", "sve", "asimdfhm", "dit", "ilrcpc", "flagm"),
    *("paca", "pacg", "dcpodp", "i8mm", "bf16", "rng"),
}  # fmt: skip
NEOVERSE_V1 = _FROM_V1 | {"sm3", "sm4"}  # which later ones do not have
NEOVERSE_V2 = _FROM_V1 | {
    *("sb", "sve2", "sveaes", "svepmull", "svebitperm", "svesha3", "flagm2", "frint"),
}  # fmt: skip
NEOVERSE_V3 = (NEOVERSE_V2 - {"ssbs"}) | {"ecv", "wfxt"}


@dataclass(frozen=True, slots=True)
class Family:
    """One row: `names`, with spaces between, share a processor."""

    names: str
    processor: str
    architecture: str
    features: frozenset[str]
    grade: str
    note: str = ""


FAMILIES = (  # from old to new, as far as what they lack goes
    Family("fargate", "not told by AWS", X86, _V2, "C", "Intel or AMD of several ages"),
    Family("t2", "Intel, several ages", X86, SANDY_BRIDGE, "A", "v2 and AVX"),
    Family("m3 c3 r3 i2", "Sandy or Ivy Bridge", X86, SANDY_BRIDGE, "A", "v2 and AVX"),
    Family("m4 c4 r4 i3 d2 x1 p2 p3", "Haswell or Broadwell", X86, HASWELL, "A"),
    Family("m5a m5ad r5a r5ad t3a", "AMD EPYC 7571 (Zen)", X86, ZEN, "B"),
    Family("c5a c5ad g4ad g5", "AMD EPYC 7R32 (Zen 2)", X86, ZEN2, "B"),
    Family(
        "m5 m5d m5n m5dn c5 c5d c5n r5 r5d r5n r5b r5dn t3 i3en z1d g4dn m5zn d3",
        "Skylake or Cascade Lake",
        X86,
        SKYLAKE,
        "B",
        "VNNI not on all",
    ),
    Family("m6a c6a r6a", "AMD EPYC 7R13 (Zen 3)", X86, ZEN3, "B", "no AVX-512"),
    Family(
        "m6i m6id m6in c6i c6id c6in r6i r6id r6in i4i x2idn x2iedn",
        "Ice Lake",
        X86,
        ICE_LAKE,
        "B",
    ),
    Family("m7a c7a r7a", "AMD EPYC 9R14 (Zen 4)", X86, ZEN4, "A"),
    Family(
        "m7i m7i-flex c7i c7i-flex r7i r7iz i7ie",
        "Sapphire Rapids",
        X86,
        SAPPHIRE_RAPIDS,
        "A",
    ),
    Family(
        "m8i m8i-flex c8i r8i",
        "Granite Rapids",
        X86,
        SAPPHIRE_RAPIDS,
        "C",
        "taken as Sapphire Rapids",
    ),
    Family("m8a c8a r8a", "AMD EPYC (Zen 5)", X86, ZEN5, "C"),
    Family("a1 graviton", "Graviton (Cortex-A72)", ARM, CORTEX_A72, "A", "armv8.0: no LSE"),
    Family(
        "m6g m6gd c6g c6gd c6gn r6g r6gd t4g x2gd i4g im4gn is4gen g5g graviton2 fargate-arm64",
        "Graviton2 (Neoverse N1)",
        ARM,
        NEOVERSE_N1,
        "A",
        "armv8.2 and LSE",
    ),
    Family(
        "m7g m7gd c7g c7gd c7gn r7g r7gd hpc7g graviton3",
        "Graviton3 (Neoverse V1)",
        ARM,
        NEOVERSE_V1,
        "A",
        "SVE of 256 bits",
    ),
    Family(
        "m8g c8g r8g x8g i8g graviton4",
        "Graviton4 (Neoverse V2)",
        ARM,
        NEOVERSE_V2,
        "A",
        "SVE2 of 128 bits: code for fixed 256 bits breaks silently",
    ),
    Family("m9g m9gd graviton5", "Graviton5 (Neoverse V3)", ARM, NEOVERSE_V3, "A"),
)
USUAL = {X86: "x86-64-v2", ARM: "graviton2"}  # what is meant where nobody says: all but the oldest
_GRAVITONS = ("graviton", "graviton2", "graviton3", "graviton4", "graviton5")
UNKNOWN = Family("", "unknown", X86, _V2, "C", "taken as x86-64-v2")
_SHOWN = 10  # features of a row of the table
_TYPE = re.compile(r"([a-z][a-z0-9-]*)(?:\.[a-z0-9-]+)?")


@cache
def _by_name() -> dict[str, Family]:
    return {name: row for row in FAMILIES for name in row.names.split()}


def find(text: str) -> Family | None:
    """Return the family of `m5`, `m5.large`, `graviton2` or `fargate`; None when not known."""
    matched = _TYPE.fullmatch(text)
    return _by_name().get(matched[1]) if matched else None


def of_type(instance_type: str) -> Family:
    """Return the family of an instance type; UNKNOWN, on the safe side, for one not listed."""
    return find(instance_type) or UNKNOWN


def first_crash(features: frozenset[str], architecture: str = X86) -> str:
    """Return the first family, from old to new, that lacks one of `features`; "" when none."""
    rows = (row for row in FAMILIES if row.architecture == architecture)
    return next((row.names.split()[0] for row in rows if not features <= row.features), "")


def baselines(architecture: str) -> list[Baseline]:
    """Return the baselines by which needs are told, lowest first: levels, or Gravitons."""
    if architecture == X86:
        return [Baseline(name, X86, has) for name, has in LEVELS.items()]
    rows = ((name, _by_name()[name].features) for name in _GRAVITONS)
    return [Baseline(name, ARM, has) for name, has in ((ARM_BASE, frozenset()), *rows)]


def lowest(features: frozenset[str], architecture: str = X86) -> str:
    """Return the lowest of `baselines` that has all of `features`; "" when none does."""
    enough = (each.name for each in baselines(architecture) if features <= each.features)
    return next(enough, "")


def table() -> str:
    """Return the families as a table of docs/reference/cpu.md."""
    lines = ["| families | processor | level | beyond it | grade |", "|---|---|---|---|---|"]
    for row in FAMILIES:
        level = [name for name, has in LEVELS.items() if has <= row.features][-1]
        known = LEVELS[level] if row.architecture == X86 else frozenset[str]()
        beyond = sorted(row.features - known)
        shown = " ".join(beyond[:_SHOWN]) + (" …" if len(beyond) > _SHOWN else "")
        processor = f"{row.processor}; {row.note}" if row.note else row.processor
        level = level if row.architecture == X86 else row.architecture
        lines.append(f"| {row.names} | {processor} | {level} | {shown} | {row.grade} |")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(table() + "\n")
