"""Write a static Linux program of a few system calls, for the images that nothing is pulled for.

A program is a list of steps, the same for each architecture: a call with up to four arguments, the
keeping of its result, jumps. What it points at is constant and lies behind it in its one segment,
which is read-only. Sources: System V ABI, ELF-64 object file format; Linux's syscall tables.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

BASE: Final = 0x400000
HEADERS: Final = 64 + 56  # ELF64 file header and one program header
_ALIGNED: Final = 8


@dataclass(frozen=True, slots=True)
class Call:
    """A system call. An argument is a number, KEPT, or the name of a piece of data."""

    name: str
    arguments: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the result of the last call."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on at a label; `on_error` only where the last call has failed."""

    label: str
    on_error: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    name: str


KEPT: Final = "(kept)"
Step = Call | Keep | Jump | Label


class _Machine(Protocol):
    number: int  # e_machine
    calls: Mapping[str, int]
    keep: bytes

    def load(self, register: int, value: int | None) -> bytes:
        """Set the register of an argument; None: to what is kept."""

    def call(self, number: int) -> bytes: ...
    def jump(self, distance: int, *, on_error: bool) -> bytes:
        """`distance` is counted from the beginning of the jump."""


class _Amd64:
    """The result is in eax, what is kept in ebx."""

    number = 62
    calls: Mapping[str, int] = {
        "read": 0, "close": 3, "socket": 41, "connect": 42, "sendmsg": 46, "bind": 49,
        "listen": 50, "exit": 60, "ppoll": 271, "dup3": 292,
    }  # fmt: skip
    keep = bytes.fromhex("89c3")  # mov ebx, eax
    _registers = (7, 6, 2, 10)  # rdi, rsi, rdx, r10

    def load(self, register: int, value: int | None) -> bytes:
        code = self._registers[register]
        prefix = b"\x41" if code > 7 else b""
        if value is None:
            return prefix + bytes((0x89, 0xD8 | code & 7))  # mov …, ebx
        return prefix + bytes((0xB8 | code & 7,)) + struct.pack("<I", value)  # mov …, value

    def call(self, number: int) -> bytes:
        return b"\xb8" + struct.pack("<I", number) + b"\x0f\x05"  # mov eax, number; syscall

    def jump(self, distance: int, *, on_error: bool) -> bytes:
        test = bytes.fromhex("85c00f88") if on_error else b"\xe9"  # test eax, eax; js · jmp
        return test + struct.pack("<i", distance - len(test) - 4)


class _Arm64:
    """The result is in x0, what is kept in x19."""

    number = 183
    calls: Mapping[str, int] = {
        "dup3": 24, "close": 57, "read": 63, "ppoll": 73, "exit": 93, "socket": 198, "bind": 200,
        "listen": 201, "connect": 203, "sendmsg": 211,
    }  # fmt: skip
    keep = struct.pack("<I", 0xAA0003F3)  # mov x19, x0

    def load(self, register: int, value: int | None) -> bytes:
        if value is None:
            return struct.pack("<I", 0xAA1303E0 | register)  # mov x…, x19
        low, high = value & 0xFFFF, value >> 16
        return struct.pack(  # movz x…, low; movk x…, high, lsl 16
            "<II", 0xD2800000 | low << 5 | register, 0xF2A00000 | high << 5 | register
        )

    def call(self, number: int) -> bytes:
        return struct.pack("<II", 0xD2800008 | number << 5, 0xD4000001)  # movz x8, number; svc 0

    def jump(self, distance: int, *, on_error: bool) -> bytes:
        words = distance // 4
        if on_error:
            return struct.pack("<I", 0xB7F80000 | (words & 0x3FFF) << 5)  # tbnz x0, 63, …
        return struct.pack("<I", 0x14000000 | words & 0x3FFFFFF)  # b …


_MACHINES: Final[Mapping[str, _Machine]] = {"amd64": _Amd64(), "arm64": _Arm64()}


def architectures() -> tuple[str, ...]:
    """Docker's names of the architectures that programs are written for."""
    return tuple(_MACHINES)


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of constant data: numbers of 8 bytes, bytes, and the names of other pieces."""

    parts: tuple[int | bytes | str, ...]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else 8 for part in self.parts)


def program(architecture: str, steps: Sequence[Step], data: Mapping[str, Data]) -> bytes:
    """Return the executable."""
    machine = _MACHINES[architecture]
    unknown = dict.fromkeys(data, 0)
    size = len(_code(machine, steps, unknown))  # no address changes an instruction's length
    at = BASE + HEADERS + _rounded(size)
    places = {}
    for name, piece in data.items():
        places[name] = at
        at += _rounded(len(piece))
    text = _padded(_code(machine, steps, places))
    return _elf(machine, text + b"".join(_bytes(piece, places) for piece in data.values()))


def _code(machine: _Machine, steps: Sequence[Step], places: Mapping[str, int]) -> bytes:
    labels: dict[str, int] = {}
    for _ in range(2):  # the second time, the labels are known
        code = b""
        for step in steps:
            if isinstance(step, Label):
                labels[step.name] = len(code)
            else:
                code += _encoded(machine, step, places, labels, len(code))
    return code


def _encoded(
    machine: _Machine,
    step: Call | Keep | Jump,
    places: Mapping[str, int],
    labels: Mapping[str, int],
    here: int,
) -> bytes:
    match step:
        case Keep():
            return machine.keep
        case Jump(label, on_error):
            return machine.jump(labels.get(label, here) - here, on_error=on_error)
        case Call(name, arguments):
            values = [
                None if a == KEPT else places[a] if isinstance(a, str) else a for a in arguments
            ]
            loads = (machine.load(number, value) for number, value in enumerate(values))
            return b"".join(loads) + machine.call(machine.calls[name])


def _bytes(piece: Data, places: Mapping[str, int]) -> bytes:
    parts = (places[part] if isinstance(part, str) else part for part in piece.parts)
    return _padded(b"".join(p if isinstance(p, bytes) else struct.pack("<Q", p) for p in parts))


def _rounded(size: int) -> int:
    return -size % _ALIGNED + size


def _padded(data: bytes) -> bytes:
    return data.ljust(_rounded(len(data)), b"\0")


def _elf(machine: _Machine, content: bytes) -> bytes:
    """Return a file of one segment, read and executed, that begins with its code."""
    size = HEADERS + len(content)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(ident, 2, machine.number, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x10000)
    return header + segment + content
