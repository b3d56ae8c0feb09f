"""What the tables let through: every instruction above the baseline, whatever its registers."""

from __future__ import annotations

import numpy as np
import pytest

from kaiun.cpu import instructions
from kaiun.cpu.candidates import PADDING, find
from kaiun.cpu.levels import BIT


def found(code: bytes) -> list[tuple[int, int]]:
    """Return where candidates are, and what they may need."""
    blocks = list(find(code))
    offsets = [offset for block in blocks for offset in block.offset.tolist()]
    return list(zip(offsets, [n for b in blocks for n in b.features.tolist()], strict=True))


def features(code: bytes) -> int:
    """Return what the candidate at the beginning may need, after the decoder has agreed."""
    told = dict(found(code + bytes(PADDING)))
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
    assert found(data) == []


@pytest.mark.parametrize("lead", [0xC4, 0xC5, 0x62, 0x8F])
def test_whatever_the_decoder_knows_is_let_through(lead: int) -> None:
    """Of 200,000 random encodings, those that iced-x86 decodes need nothing that was not told."""
    random = np.random.default_rng(lead)
    slots = random.integers(0, 256, (200_000, 24), np.uint8)
    slots[:, 0] = lead
    code = slots.tobytes() + bytes(PADDING)
    told = dict(found(code))
    decoder, masks = instructions.Decoder(code), instructions.masks()
    needs = {at: masks[decoder.at(at).code] for at in range(0, slots.size, slots.shape[1])}
    assert sum(map(bool, needs.values())) > 20
    assert [at for at, need in needs.items() if need & ~told.get(at, 0)] == []
