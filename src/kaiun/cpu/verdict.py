"""Judge the facts of a file by a baseline: which instructions would crash, and is that a risk.

The rule, in this order (tuned on 983 natural and 234 contaminated files, see
docs/reference/cpu.md):
    1  nothing above the baseline                                        → CLEAN
    2  the file's name says that it is a variant for newer CPUs          → VARIANT
    3  its own notes say so: compiled with -march=native, or for a level → RISK
    4  nearly all vector code is AVX's (simd.Share)                      → RISK
    5  it never asks the CPU what it can do; on ARM: it asks for atomics
       only, as GCC's -moutline-atomics does, and needs something else,
       or six functions need it that it exports under plain names        → RISK
    6  every such function is reached through a check only, or the
       library is known to choose at run time                            → GUARDED, else REVIEW
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from kaiun.cpu.aarch64 import options
from kaiun.cpu.levels import BIT, LEVELS, Baseline, to_features

if TYPE_CHECKING:
    from kaiun.cpu.facts import Facts, Group

CONTAMINATED = 0.85  # measured: contaminated files ≥ .993, natural ones ≤ .724
FEWEST = 6  # functions below which a share, or their number, says nothing
_LIBGCC_ASKS = ("imports __getauxval",)  # others call getauxval, without underscores
# Libraries that choose at run time in ways that the walk over the call graph does not follow:
# tables in registers, function pointers in objects, generated code.
_DISPATCHERS = re.compile(
    r"ld-linux|lib(c|c_malloc_debug|m|mvec|stdc\+\+|crypto|ssl|gcrypt|gmp|nettle|hogweed|(scipy_)?openblas\w*"
    r"|blis|mkl\w*|fftw3\w*|zstd|isal|dav1d|x264|x265|vpx|aom|avif|SvtAv1\w*|avcodec|avutil"
    r"|avfilter|swscale|swresample|postproc|jpeg|turbojpeg|webp|sharpyuv|yuv|opencv_\w+|pixman-1"
    r"|Qt\dGui|SDL2?|sodium|ffi|gnutls|rav1e|volk|jxl\w*|hwy|heif|hwy_\w+|pcre2?-\d+|tsan|asan|hwasan"
    r"|pmem\w*|arrow\w*|parquet|simdjson|node|xxhash|itm)\b"
    r"|(_multiarray_umath|_simd|cv2|cygrpc)\."  # modules of Python, which have no soname
)
# Files that are chosen by their place (glibc-hwcaps) or named after what they are compiled for.
_VARIANT = re.compile(
    r"(^|[_.+-])(x86[-_]64[-_]v[234]|haswell|skylake\w*|icelake\w*|znver\d|avx2?|avx512\w*"
    r"|sse4[._]?[12]|ssse3|fma[34]?|hwaes|aesni|sve2?|sme2?|neoverse\w*|armv[89][._]\w+|i8mm"
    r"|dotprod|lse)($|[_.+-])",
    re.IGNORECASE,
)
_HWCAPS = re.compile(r"/glibc-hwcaps/|/(haswell|avx512_1|atomics)/[^/]+\.so")


class Kind(StrEnum):
    """From harmless to fatal."""

    CLEAN = "clean"
    VARIANT = "variant"
    GUARDED = "guarded"
    UNKNOWN = "not judged"
    REVIEW = "review"
    RISK = "risk"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file is worth on a baseline; `features` are those above it, `functions` examples."""

    kind: Kind
    why: str = ""
    features: frozenset[str] = frozenset()
    functions: tuple[str, ...] = ()
    count: int = 0  # functions above the baseline


def judge(facts: Facts, path: str, baseline: Baseline) -> Verdict:
    """Return the verdict on the file at `path`, whose name is part of the evidence."""
    if facts.architecture != baseline.architecture:
        return _other(facts, baseline)
    above = [group for group in facts.groups if group.features & ~baseline.mask]
    lacking = _lacking(above, baseline)
    noted = LEVELS.get(facts.needed, frozenset()) - baseline.features
    if not above and not noted:
        return Verdict(Kind.CLEAN)
    if _is_variant(path):
        return _verdict(Kind.VARIANT, "named after the CPUs that it is for", above, lacking)
    if why := _risk(facts, baseline, noted=bool(noted)):
        return _verdict(Kind.RISK, why, above, lacking | noted)
    open_ = [group for group in above if not group.guarded]
    if open_ and (why := _arm_risk(facts, path, open_, baseline)):
        return _verdict(Kind.RISK, why, open_, _lacking(open_, baseline))
    return _checked(facts, path, above, baseline)


def _risk(facts: Facts, baseline: Baseline, *, noted: bool) -> str:
    """Return why a file with instructions above the baseline would crash, "" if it need not."""
    if noted:
        return f"its linker noted that it needs {facts.needed}"
    if facts.native:
        return f"compiled with -march=native (on {facts.native})"
    if contaminated(facts.vex, facts.sse) and "avx" not in baseline.features:
        share = f"{facts.vex} of {facts.vex + facts.sse} functions with vectors are AVX's"
        return f"compiled as a whole for AVX: {share}"
    return "" if facts.checks else "it never asks the CPU what it can do"


def _arm_risk(facts: Facts, path: str, open_: list[Group], baseline: Baseline) -> str:
    """Return why a file for ARM that asks the CPU would crash all the same, "" if it need not."""
    if facts.option and options.features(facts.option) & _lacking(open_, baseline):
        return f"all of it is compiled with {facts.option}"
    exported = sum(group.count for group in open_ if group.exported)
    if exported >= FEWEST:
        return f"{exported} functions that others call need it, without a check"
    guarded = {group.features for group in facts.groups if group.guarded}
    known = _DISPATCHERS.match(_name(facts, path))
    if facts.checks == _LIBGCC_ASKS and guarded <= {BIT["atomics"]} and not known:
        return "it asks the CPU for atomics only, in libgcc's way"
    return ""


def _name(facts: Facts, path: str) -> str:
    return facts.soname or path.rpartition("/")[2]


def contaminated(vex: int, sse: int) -> bool:
    """Whether the VEX share is that of a file compiled for AVX throughout."""
    return vex + sse >= FEWEST and vex >= CONTAMINATED * (vex + sse)


def is_dispatcher(soname: str) -> bool:
    """Whether a library is known to choose at run time, by its name."""
    return _DISPATCHERS.match(soname) is not None


def _checked(facts: Facts, path: str, above: list[Group], baseline: Baseline) -> Verdict:
    """Judge a file that asks the CPU: does it do so before each function above the baseline?"""
    open_ = [group for group in above if not group.guarded]
    how = "; ".join(facts.checks)
    if not open_:
        return _verdict(Kind.GUARDED, how, above, _lacking(above, baseline))
    known = _DISPATCHERS.match(_name(facts, path))
    plain = any(group.exported for group in open_)
    if known and not plain and not contaminated(facts.vex, facts.sse):
        why = f"{known[0].rstrip('.')} is known to choose at run time; {how}"
        return _verdict(Kind.GUARDED, why, above, _lacking(above, baseline))
    why = f"asks the CPU ({how}), but not seen to before each of these"
    return _verdict(Kind.REVIEW, why, open_, _lacking(open_, baseline))


def _other(facts: Facts, baseline: Baseline) -> Verdict:
    if facts.problem:
        return Verdict(Kind.UNKNOWN, f"cannot be read: {facts.problem}")
    return Verdict(Kind.UNKNOWN, f"a file for another CPU than {baseline.architecture}")


def _is_variant(path: str) -> bool:
    name = path.rpartition("/")[2]
    return bool(_HWCAPS.search(path) or _VARIANT.search(name))


def _verdict(kind: Kind, why: str, above: Iterable[Group], lacking: frozenset[str]) -> Verdict:
    groups = sorted(above, key=lambda group: (group.guarded, -group.count))
    names = tuple(name for group in groups for name in group.names)[:5]
    return Verdict(kind, why, lacking, names, sum(group.count for group in groups))


def _lacking(above: Iterable[Group], baseline: Baseline) -> frozenset[str]:
    mask = 0
    for group in above:
        mask |= group.features
    return frozenset(to_features(mask & ~baseline.mask, baseline.architecture))
