"""The compiler shim: in the steps of a build, `native` becomes the baseline.

It is a handful of POSIX sh scripts, mounted at FOLDER while a RUN runs; nothing of them, nor of
what they make (in /dev/shm), is in the image. Four ways lead through it:
  PATH                  links to `compiler` under the name of each compiler found there
  LIBRARY_PATH          where GCC finds a file `specs`, by whatever path it is called
  CCC_OVERRIDE_OPTIONS  clang's, the same way
  RUSTC_WRAPPER         rustc as cargo calls it
Go has no `native`: GOAMD64 is v1 unless somebody writes a level, which is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from kaiun.cpu.levels import ARM, LEVELS

if TYPE_CHECKING:
    from kaiun.cpu.levels import Baseline

FOLDER = "/dev/kaiun"  # in the tmpfs of every RUN, so that not even a mount point stays behind
PROGRAMS = ("clang", "compiler", "exec", "links", "on")


@dataclass(frozen=True, slots=True)
class Flags:
    """What stands for `native` at one baseline."""

    march: str  # words that compilers know which are older than the name of the level
    march_one: str  # one word, where there is room for no more: -Wp,…, clang's override
    mtune: str
    mcpu: str
    rust: str  # rustc's target-cpu


_V2 = "-march=x86-64 -mcx16 -msahf -mpopcnt -msse3 -mssse3 -msse4.1 -msse4.2"
_V3 = f"{_V2} -mavx -mavx2 -mbmi -mbmi2 -mf16c -mfma -mlzcnt -mmovbe -mxsave"
_V4 = f"{_V3} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl"
_X86 = {"x86-64": "-march=x86-64", "x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
# A feature that tells an ARM processor from older ones, the processor's name, its architecture for
# -march, and a name for -mcpu that GCC 11 knows: AWS names neoverse-512tvb for those before GCC 13.
_ARM = (
    ("sve2", "neoverse-v2", "armv8.5-a+sve2+bf16+i8mm", "neoverse-512tvb"),
    ("sve", "neoverse-v1", "armv8.4-a+sve+bf16+i8mm", "neoverse-v1"),
    ("atomics", "neoverse-n1", "armv8.2-a+fp16+rcpc+dotprod", "neoverse-n1"),
    ("", "cortex-a72", "armv8-a+crc", "cortex-a72"),
)
TARGETS = (*_X86, *(row[1] for row in _ARM))


def target(baseline: Baseline) -> str:
    """Return the newest of TARGETS that runs on a baseline: m5 → "x86-64-v4".

    Families of EC2 have more than their level; compilers are not told, for the level is what all
    of them know by name.
    """
    if baseline.architecture == ARM:
        return next(row[1] for row in _ARM if {row[0]} <= baseline.features | {""})
    return next(name for name in reversed(_X86) if LEVELS[name] <= baseline.features)


def flags(name: str) -> Flags:
    """Return what stands for `native` at one of TARGETS. KeyError for another.

    Source: GCC manual, "x86 Options" (-mcpu is there a synonym of -mtune), "AArch64 Options";
    github.com/aws/aws-graviton-getting-started, "C/C++ on Graviton".
    """
    if name in _X86:
        return Flags(_X86[name], f"-march={name}", "-mtune=generic", "-mtune=generic", name)
    _, _, architecture, cpu = {row[1]: row for row in _ARM}[name]
    march = f"-march={architecture}"
    return Flags(march, march, f"-mtune={cpu}", f"-mcpu={cpu}", name)


def files(name: str) -> dict[str, str]:
    """Return what FOLDER holds for one of TARGETS, by path. Those of PROGRAMS are executable."""
    wanted = flags(name)
    programs = {
        program: resources.files(__name__).joinpath(f"{program}.sh").read_text("utf-8")
        for program in PROGRAMS
    }
    level_file = _assignments(wanted) + f"cc1_cpu='{cc1_cpu(wanted)}'\n"
    return {**programs, "level": level_file}


def digest(content: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits for the whole of it."""
    whole = hashlib.sha256()
    for name, text in sorted(content.items()):
        whole.update(f"{name}\0{len(text)}\0{text}".encode())
    return whole.hexdigest()[:16]


def _assignments(wanted: Flags) -> str:
    return "".join(f"{name}='{getattr(wanted, name)}'\n" for name in Flags.__slots__)


def cc1_cpu(wanted: Flags) -> str:
    """Return GCC's spec of that name with the baseline in place of %:local_cpu_detect.

    Source: GCC, gcc/config/i386/i386.h, CC1_CPU_SPEC; the manual, "Spec Files".
    """
    march = f"%{{march=native:%>march=native {wanted.march}}}"
    mtune = f"%{{mtune=native:%>mtune=native {wanted.mtune}}}"
    return f"{march} {mtune}"
