"""From one instruction to the next by tables is where iced-x86 goes too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaiun.cpu import chains, functions, instructions
from kaiun.cpu.elf import Elf

SYSTEM = [Path(f"/usr/lib/x86_64-linux-gnu/{name}") for name in ("libcrypto.so.3", "libm.so.6")]
PADDING = 16
_EVERY = 5  # functions


def covered(code: bytes, offset: int, begin: int) -> int:
    """Return what is told of one byte."""
    view = np.frombuffer(code + bytes(PADDING), np.uint8)
    many = np.full(chains.WORTH, offset), np.full(chains.WORTH, begin)
    return int(chains.covering(view, *many)[0])


def walked(code: bytes, begin: int, limit: int) -> tuple[list[int], list[int]]:
    """Return places, up to what iced-x86 cannot decode, and where their instruction begins."""
    decoder = instructions.Decoder(code)
    places: list[int] = []
    starts: list[int] = []
    at = begin
    while at < limit and (found := decoder.at(at)).code:
        places += range(at, min(at + found.len, limit))
        starts += [at] * (min(at + found.len, limit) - at)
        at += found.len
    return places, starts


@pytest.mark.parametrize("path", SYSTEM, ids=lambda path: path.name)
@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_first_bytes_of_functions(path: Path, shift: int) -> None:
    """A shift begins inside of an instruction: as odd as data, and as much of it decodable."""
    if not path.exists():
        pytest.skip("not installed here")
    elf = Elf(path.read_bytes())
    known = functions.find(elf)
    text = next(section for section in elf.code if section.name == ".text")
    code = elf.content(text, PADDING)
    offset: list[int] = []
    begin: list[int] = []
    expected: list[int] = []
    for address in known.begin[:-1:_EVERY].tolist():
        first = address - text.address + shift
        if 0 <= first < text.size - chains.RUN_UPS[0]:
            places, starts = walked(code, first, first + chains.RUN_UPS[0])
            offset.extend(places)
            expected.extend(starts)
            begin.extend([first] * len(places))
    told = chains.covering(np.frombuffer(code, np.uint8), np.array(offset), np.array(begin))
    wrong = (told >= 0) & (told != np.array(expected))
    assert np.flatnonzero(wrong).tolist() == []
    assert np.mean(told < 0) < 0.01


@pytest.mark.parametrize(
    "code",
    [
        "66 2e 0f 1f 84 00 00 00 00 00",  # nop word cs:[rax+rax]
        "66 66 66 66 2e 0f 1f 84 00 00 00 00 00",
        "48 b8 01 02 03 04 05 06 07 08",  # mov rax, imm64
        "66 b8 01 02",  # mov ax, imm16
        "66 48 81 c0 01 02 03 04",  # REX.W outweighs 66
        "f6 05 00 00 00 00 01",  # test byte [rip], 1
        "f7 d8",  # neg eax
        "66 f7 04 24 01 02",  # test word [rsp], imm16
        "8b 04 25 00 00 00 00",  # mov eax, [disp32]: SIB without base
        "48 a1 01 02 03 04 05 06 07 08",  # movabs rax, moffs64
        "c8 10 00 00",  # enter
        "f2 0f 70 c1 00",  # pshuflw
        "66 0f 3a 0f c1 04",  # palignr
        "c5 f8 77",  # vzeroupper
        "c4 e3 7d 19 c1 01",  # vextractf128
        "62 f3 7d 48 1f 44 24 01 00",  # vpcmpd k, zmm, [rsp+64], 0
        "8f e9 78 81 c1",  # vfrczpd
        "8f 00",  # pop [rax]
        "c7 f8 00 00 00 00",  # xbegin
        "66 66 48 e8 00 00 00 00",  # a call as TLS has it
    ],
)
def test_instruction(code: str) -> None:
    """The byte behind it begins another one."""
    data = bytes.fromhex(code)
    assert instructions.Decoder(data + bytes(PADDING)).at(0).len == len(data)
    both = data + b"\x90"
    assert [covered(both, at, 0) for at in range(len(both))] == [0] * len(data) + [len(data)]


def test_chains_that_do_not_agree() -> None:
    """Nothing is told where two chains keep apart: add [rax], al is two bytes of zero."""
    assert covered(bytes(300), 200, 0) == -1


def test_chains_that_agree() -> None:
    """mov [rsp+8], rax, 40 times: wherever a chain begins, it soon is in step."""
    code = bytes.fromhex("48 89 44 24 08") * 40
    assert [covered(code, at, 0) for at in range(150, 155)] == [150] * 5
