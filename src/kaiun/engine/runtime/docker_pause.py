"""An image of one file that does nothing for ever: it holds a task's network namespace.

Nothing is pulled for it. The program is a static ELF of a few dozen bytes, written by hand:
one load segment, and a loop around a system call that only a signal interrupts. As PID 1 it
has no default signal actions, so it is ended with SIGKILL.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from typing import Final

_BASE: Final = 0x400000
_HEADERS: Final = 64 + 56  # ELF64 file header and one program header
_MACHINE: Final = {"amd64": 62, "arm64": 183}  # e_machine, by the architecture's name in Docker
_CODE: Final = {
    # mov eax, 34 (pause); syscall; jmp -9
    "amd64": bytes.fromhex("b822000000 0f05 ebf7"),
    # ppoll(NULL, 0, NULL, NULL): x0..x3 = 0; x8 = 73; svc 0; b -6 instructions
    "arm64": struct.pack(
        "<7I",
        0xD2800000,
        0xD2800001,
        0xD2800002,
        0xD2800003,
        0xD2800928,
        0xD4000001,
        0x17FFFFFA,
    ),
}


def architectures() -> tuple[str, ...]:
    """Docker's names of the architectures that the pause program is written for."""
    return tuple(_CODE)


def program(architecture: str) -> bytes:
    """Return the executable. Source: System V ABI, ELF-64 object file format."""
    code = _CODE[architecture]
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(ident, 2, _MACHINE[architecture], 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + code


def archive(architecture: str) -> bytes:
    """Return the root file system of the image, a tar with /pause alone."""
    data = program(architecture)
    info = tarfile.TarInfo("pause")
    info.size, info.mode = len(data), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def reference(architecture: str) -> tuple[str, str]:
    """Return repository and tag; the tag changes with the program."""
    return "kaiun-pause", hashlib.sha256(program(architecture)).hexdigest()[:12]
