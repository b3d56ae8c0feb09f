"""What the tables let through: every instruction above the baseline, whatever its registers."""

from __future__ import annotations

import numpy as np
import pytest

from kaiun.cpu import instructions
from kaiun.cpu.candidates import PADDING, find
from kaiun.cpu.levels import BIT


def features(code: bytes) -> int:
    """Return what the candidate at the beginning may need, after the decoder has agreed."""
    found = find(np.frombuffer(code + bytes(PADDING), np.uint8))
    told = dict(zip(found.offset.tolist(), found.features.tolist(), strict=True))
    assert instructions.masks()[instructions.Decoder(code + bytes(PADDING)).at(0).code]
    return int(told.get(0, 0))


@pytest.mark.parametrize("register", range(8))
def test_gather_with_any_register(register: int) -> None:
    """vpgatherdd xmm, [rax+xmm*8], xmm; three registers that are not the same."""
    mask, index = (register + 1) % 8, (register + 2) % 8
    vex = bytes((0xC4, 0xE2, (15 - mask) << 3 | 1, 0x90, register << 3 | 4, 0xC0 | index << 3))
    assert features(vex) & BIT["avx2"]
    evex = bytes((0x62, 0xF2, 0x7D, 0x09, 0x90, register << 3 | 4, 0xC0 | index << 3))
    assert features(evex) & BIT["avx512vl"]


@pytest.mark.parametrize(
    ("code", "feature"),
    [
        ("c5 f8 77", "avx"),  # vzeroupper
        ("c4 e2 7d 18 c1", "avx2"),  # vbroadcastss of a register
        ("c4 e2 7d 18 00", "avx"),  # of memory
        ("c4 e2 f0 f7 c3", "bmi1"),  # bextr
        ("62 f1 7c 48 58 c1", "avx512f"),  # vaddps zmm
        ("0f 0f c1 9e", "3dnow"),  # pfadd
        ("0f 0e", "3dnow"),  # femms
        ("0f c7 f0", "rdrand"),
        ("0f 38 f0 00", "movbe"),
        ("c7 f8 00 00 00 00", "rtm"),  # xbegin
        ("c6 f8 ff", "rtm"),  # xabort
        ("8f e9 78 81 c1", "xop"),  # vfrczpd
    ],
)
def test_instruction_is_let_through(code: str, feature: str) -> None:
    assert features(bytes.fromhex(code)) & BIT[feature]


@pytest.mark.parametrize("code", ["48 83 c4 18", "66 0f 6f c1", "0f 1f 40 00", "f3 0f bc c1"])
def test_baseline_code_is_not(code: str) -> None:
    """add rsp, 24 · movdqa · nop · rep bsf"""
    data = bytes.fromhex(code) + bytes(PADDING)
    assert find(np.frombuffer(data, np.uint8)).offset.tolist() == []
