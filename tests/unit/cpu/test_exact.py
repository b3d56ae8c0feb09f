"""The quick scan finds what decoding every byte with iced-x86 finds, function by function."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import compiled as sources
from support.compiled import compiled

from kaiun.cpu import features, functions
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


def differences(path: Path) -> dict[str, tuple[int, int]]:
    elf = Elf(path.read_bytes())
    known = functions.find(elf)
    quick, full = features.scan(elf, known).masks, features.exhaust(elf, known).masks
    return {
        known.name(n): (full.get(n, 0), quick.get(n, 0))
        for n in full.keys() | quick.keys()
        if full.get(n, 0) != quick.get(n, 0)
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
