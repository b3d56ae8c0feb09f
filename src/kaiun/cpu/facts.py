"""All that is kept of one file: what its functions need, and the evidence about it.

Facts know no baseline, so they are computed once for a file's bytes and judged for any baseline.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kaiun.cpu.levels import ARM, CHECK, X86

if TYPE_CHECKING:
    from kaiun.cpu.elf import Elf
    from kaiun.cpu.found import Found
    from kaiun.cpu.guards import Mentions

Buffer = bytes | mmap.mmap
SCANNER = 7  # goes up with every change of what is found: cached facts of another one are void
_SHOWN = 5  # names of functions that are kept for each set of features
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Group:
    """Functions that need the same features, and are guarded or not."""

    features: int  # bits, see levels
    guarded: bool
    count: int
    names: tuple[str, ...]  # the first few
    exported: bool = False  # ARM: under names that do not say what they need, and not guarded


@dataclass(frozen=True, slots=True)
class Facts:
    """`architecture` is X86, ARM or OTHER, which is not looked into.

    `vex` and `sse` are X86's.
    """

    architecture: str
    groups: tuple[Group, ...] = ()
    vex: int = 0  # functions with vectors in AVX's encoding
    sse: int = 0  # in SSE's only; counted as far as it matters
    checks: tuple[str, ...] = ()
    native: str = ""
    option: str = ""  # ARM: the -mcpu or -march of all of it
    needed: str = ""
    soname: str = ""
    problem: str = ""  # why the file cannot be read

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def load(text: str) -> Facts:
    """Read what `Facts.dump` wrote."""
    raw: Mapping[str, object] = json.loads(text)
    groups = tuple(
        Group(**{**each, "names": tuple(each["names"])})
        for each in raw["groups"]  # type: ignore[attr-defined]
    )
    checks = tuple(raw["checks"])  # type: ignore[arg-type, var-annotated]
    return Facts(**{**raw, "groups": groups, "checks": checks})  # type: ignore[arg-type]


def prepare() -> None:
    """Import what `of_file` needs, and make its tables, before the first file comes."""
    from kaiun.cpu import evidence, functions, guards, mentions, opcodes, simd  # noqa: F401

    opcodes.tables()


def of_file(data: Buffer, *, exhaust: bool = False) -> Facts | None:
    """Return the facts of a file's bytes; None for what no kernel or dynamic linker runs.

    With `exhaust` every byte of code is decoded: the same facts, for tests and benches.
    """
    from kaiun.cpu.elf import EM_AARCH64, EM_X86_64, Elf

    try:
        elf = Elf(data)
        if not elf.runs:
            return None
        if elf.machine == EM_AARCH64:
            return _of_arm(elf)
        return _of_x86(elf, exhaust=exhaust) if elf.machine == EM_X86_64 else Facts(OTHER)
    except ValueError as problem:  # BadElf; or iced-x86's, of places outside of the code
        return Facts(OTHER, problem=str(problem))


def _of_x86(elf: Elf, *, exhaust: bool) -> Facts:
    from kaiun.cpu import evidence, features, functions, simd
    from kaiun.cpu.mentions import Mentions
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
    groups = tuple(_groups(elf, found, Mentions(elf, found) if asks else None))
    return Facts(
        X86,
        groups,
        share.vex,
        share.sse,
        told.checks,
        told.native,
        needed=told.needed,
        soname=elf.soname,
    )


def _of_arm(elf: Elf) -> Facts:
    from kaiun.cpu import evidence
    from kaiun.cpu.aarch64 import exports, functions, producers
    from kaiun.cpu.aarch64.mentions import Mentions
    from kaiun.cpu.verdict import is_dispatcher

    found = functions.scan(elf)
    told = evidence.gather(elf, found)
    exported = exports.plain(elf, found)
    asks = bool(told.checks) and (bool(exported) or not is_dispatcher(elf.soname))
    groups = tuple(_groups(elf, found, Mentions(elf, found) if asks else None, exported))
    option = producers.told(elf) if groups else ""
    return Facts(ARM, groups, checks=told.checks, option=option, soname=elf.soname)


def _groups(
    elf: Elf, found: Found[Any], mentions: Mentions | None, exported: Collection[int] = ()
) -> list[Group]:
    """Return the functions with features, put together by features and guard.

    Without `mentions` none is guarded.
    """
    from kaiun.cpu import guards

    masks = {number: mask & ~CHECK for number, mask in found.masks.items() if mask & ~CHECK}
    open_ = guards.unguarded(elf, found, mentions) if mentions and masks else set(masks)
    together: dict[tuple[int, bool, bool], list[int]] = {}
    for number, mask in sorted(masks.items()):
        key = mask, number not in open_, number in open_ and number in exported
        together.setdefault(key, []).append(number)
    name = found.functions.name
    return [
        Group(mask, guarded, len(numbers), tuple(map(name, numbers[:_SHOWN])), plain)
        for (mask, guarded, plain), numbers in together.items()
    ]
