"""All that is kept of one file: what its functions need, and the evidence about it.

Facts know no baseline, so they are computed once for a file's bytes and judged for any baseline.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from kaiun.cpu.levels import ARM, X86

if TYPE_CHECKING:
    from kaiun.cpu.elf import Elf
    from kaiun.cpu.features import Found

Buffer = bytes | mmap.mmap
SCANNER = 4  # goes up with every change of what is found: cached facts of another one are void
_SHOWN = 5  # names of functions that are kept for each set of features
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Group:
    """Functions that need the same features, and are guarded or not."""

    features: int  # bits, see levels
    guarded: bool
    count: int
    names: tuple[str, ...]  # the first few


@dataclass(frozen=True, slots=True)
class Facts:
    """`architecture` is X86, ARM (not looked into) or OTHER."""

    architecture: str
    groups: tuple[Group, ...] = ()
    vex: int = 0  # functions with vectors in AVX's encoding
    sse: int = 0  # in SSE's only; counted as far as it matters
    checks: tuple[str, ...] = ()
    native: str = ""
    needed: str = ""
    soname: str = ""
    problem: str = ""  # why the file cannot be read

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def load(text: str) -> Facts:
    """Read what `Facts.dump` wrote."""
    raw: Mapping[str, object] = json.loads(text)
    groups = tuple(
        Group(g["features"], g["guarded"], g["count"], tuple(g["names"]))
        for g in raw["groups"]  # type: ignore[attr-defined]
    )
    facts = Facts(**{**raw, "groups": groups})  # type: ignore[arg-type]
    return replace(facts, checks=tuple(facts.checks))


def prepare() -> None:
    """Import what `of_file` needs, and make its tables, before the first file comes."""
    from kaiun.cpu import evidence, functions, guards, opcodes, simd  # noqa: F401

    opcodes.tables()


def of_file(data: Buffer, *, exhaust: bool = False) -> Facts | None:
    """Return the facts of a file's bytes; None for what no kernel or dynamic linker runs.

    With `exhaust` every byte of code is decoded: the same facts, for tests and benches.
    """
    from kaiun.cpu.elf import EM_AARCH64, EM_X86_64, BadElf, Elf

    try:
        elf = Elf(data)
        if not elf.runs:
            return None
        if elf.machine != EM_X86_64:
            return Facts(ARM if elf.machine == EM_AARCH64 else OTHER)
        return _of_elf(elf, exhaust=exhaust)
    except BadElf as problem:
        return Facts(OTHER, problem=str(problem))


def _of_elf(elf: Elf, *, exhaust: bool) -> Facts:
    from kaiun.cpu import evidence, features, functions, simd
    from kaiun.cpu.verdict import contaminated, is_dispatcher

    known = functions.find(elf)
    if not len(known.begin):
        return Facts(X86, soname=elf.soname)
    found = (features.exhaust if exhaust else features.scan)(elf, known)
    told = evidence.gather(elf, found)
    share = simd.share(found)
    # Of a file that is a risk in any case, or known to choose, nobody asks what is guarded in it.
    whole = contaminated(share.vex, share.sse)
    asks = bool(told.checks) and not told.native and not whole and not is_dispatcher(elf.soname)
    groups = tuple(_groups(elf, found, checked=asks))
    return Facts(
        X86, groups, share.vex, share.sse, told.checks, told.native, told.needed, elf.soname
    )


def _groups(elf: Elf, found: Found, *, checked: bool) -> list[Group]:
    """Return the functions with features, put together by features and guard."""
    from kaiun.cpu import guards
    from kaiun.cpu.instructions import CHECK

    masks = {number: mask & ~CHECK for number, mask in found.masks.items() if mask & ~CHECK}
    open_ = guards.unguarded(elf, found) if checked and masks else set(masks)
    together: dict[tuple[int, bool], list[int]] = {}
    for number, mask in sorted(masks.items()):
        together.setdefault((mask, number not in open_), []).append(number)
    return [
        Group(mask, guarded, len(numbers), tuple(found.functions.name(n) for n in numbers[:_SHOWN]))
        for (mask, guarded), numbers in together.items()
    ]
