"""What -mcpu and -march of AArch64 allow a compiler."""

from __future__ import annotations

import pytest

from kaiun.cpu import levels
from kaiun.cpu.aarch64 import options


@pytest.mark.parametrize(
    ("option", "has", "has_not"),
    [
        ("-mcpu=neoverse-v1", "sve bf16 atomics", "sve2"),
        ("-mcpu=neoverse-n1+crypto", "atomics asimddp aes", "sve"),
        ("-march=armv8-a", "", "atomics"),
        ("-march=armv8-a+crc+lse", "crc32 atomics", "asimdrdm"),
        ("-march=armv8.2-a+sve", "sve dcpop", "sve2"),
        ("-march=armv9-a", "sve2 sve", "i8mm"),
        ("-mcpu=some-later-one+sve2", "sve sve2", "atomics"),
    ],
)
def test_features_of_an_option(option: str, has: str, has_not: str) -> None:
    found = options.features(option)
    assert set(has.split()) <= found
    assert not set(has_not.split()) & found


@pytest.mark.parametrize("family", ["m6g", "m7g", "m8g"])
def test_features_of_a_processor_are_those_of_its_family(family: str) -> None:
    names = {"m6g": "neoverse-n1", "m7g": "neoverse-v1", "m8g": "neoverse-v2"}
    assert options.features(f"-mcpu={names[family]}") == levels.parse(family).features
