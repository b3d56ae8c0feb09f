"""The quick scan finds what decoding every byte with iced-x86 finds, function by function."""

from __future__ import annotations

from pathlib import Path

import iced_x86 as iced
import pytest
from support import compiled as sources
from support.compiled import compiled

from kaiun.cpu import features, functions, instructions
from kaiun.cpu.elf import Elf

SYSTEM = [
    Path(f"/usr/lib/x86_64-linux-gnu/{name}")
    for name in (
        "libc.so.6",
        "libcrypto.so.3",
        "libm.so.6",
        "ld-linux-x86-64.so.2",
    )
]


def decoded(found: features.Found) -> dict[int, int]:
    """Return what each function needs, from every instruction in it."""
    masks: dict[int, int] = {}
    known = found.functions
    for code in found.codes:
        base = code.section.address
        for number, begin in enumerate(known.begin.tolist()):
            if not base <= begin < code.section.end:
                continue
            start, stop = begin - base, min(known.limit(number) - base, code.section.size)
            at, mask = start, 0
            for each in iced.Decoder(64, code.data[start:stop]):
                told = at + base < known.end[number] or code.looks_like_code(at, start, stop)
                mask |= instructions.masks()[each.code] if told else 0
                at += each.len
            if mask:
                masks[number] = mask
    return masks


def differences(path: Path) -> dict[str, tuple[int, int]]:
    elf = Elf(path.read_bytes())
    found = features.scan(elf, functions.find(elf))
    full = decoded(found)
    name = found.functions.name
    return {
        name(n): (full.get(n, 0), found.masks.get(n, 0))
        for n in full.keys() | found.masks.keys()
        if full.get(n, 0) != found.masks.get(n, 0)
    }


@pytest.mark.parametrize("path", SYSTEM, ids=lambda path: path.name)
def test_libraries_of_this_machine(path: Path) -> None:
    if not path.exists():
        pytest.skip("not installed here")
    assert differences(path) == {}


@pytest.mark.parametrize(
    "march", ["x86-64", "haswell", "skylake-avx512", "sapphirerapids", "bdver4"]
)
@pytest.mark.parametrize("source", [sources.VECTORS, sources.GUARDED, sources.COUNTS_ZEROS])
def test_code_for_many_cpus(tmp_path: Path, source: str, march: str) -> None:
    assert differences(compiled(tmp_path, source, f"-march={march}")) == {}
