"""An image of two tiny programs, which nothing is pulled for.

`/pause` does nothing for ever: it holds the namespaces that a task's containers share. `/door`
holds the address of the task metadata endpoint: it listens there, hands the listening socket to the
engine through a Unix socket, and does so again when the engine has gone and come back. What comes
in is accepted by the engine itself, though the door is in a network namespace of its own. As PID 1
they have no default signal actions, so they are ended with SIGKILL.
"""

from __future__ import annotations

import hashlib
import io
import socket
import struct
import tarfile
from typing import Final

from kaiun.engine.runtime import docker_elf
from kaiun.engine.runtime.base import DOOR_ADDRESS, DOOR_PORT
from kaiun.engine.runtime.docker_elf import KEPT, Call, Data, Jump, Keep, Label

DOOR_FOLDER: Final = "/engine"  # where the folder of the engine's socket is mounted
DOOR_SOCKET: Final = "socket"
_LISTENER: Final = 100  # descriptor
_BACKLOG: Final = 100
_SCM_RIGHTS: Final = 1
_MSG_NOSIGNAL: Final = 0x4000

_PAUSE: Final = (Label("again"), Call("ppoll", (0, 0, 0, 0)), Jump("again"))
_DOOR: Final = (
    Call("socket", (socket.AF_INET, socket.SOCK_STREAM, 0)),
    Keep(),
    Call("dup3", (KEPT, _LISTENER, 0)),
    Call("bind", (_LISTENER, "inet", 16)),
    Jump("failed", on_error=True),
    Call("listen", (_LISTENER, _BACKLOG)),
    Label("again"),
    Call("socket", (socket.AF_UNIX, socket.SOCK_STREAM, 0)),
    Keep(),
    Call("connect", (KEPT, "unix", 2 + len(f"{DOOR_FOLDER}/{DOOR_SOCKET}"))),
    Jump("closed", on_error=True),
    Call("sendmsg", (KEPT, "message", _MSG_NOSIGNAL)),
    Call("read", (KEPT, "unix", 1)),  # nothing ever comes but the end: the engine is gone
    Label("closed"),
    Call("close", (KEPT,)),
    Call("ppoll", (0, 0, "a moment", 0)),
    Jump("again"),
    Label("failed"),
    Call("exit", (1,)),
)
_DATA: Final = {
    "inet": Data((struct.pack("<H", socket.AF_INET) + struct.pack(">H", DOOR_PORT)
                  + socket.inet_aton(DOOR_ADDRESS) + bytes(8),)),
    "unix": Data((struct.pack("<H", socket.AF_UNIX) + f"{DOOR_FOLDER}/{DOOR_SOCKET}".encode(),)),
    "a moment": Data((0, 100_000_000)),  # struct timespec
    "vector": Data(("unix", 1)),  # struct iovec: one byte goes with the descriptor
    "control": Data((20, struct.pack("<iii", socket.SOL_SOCKET, _SCM_RIGHTS, _LISTENER))),
    "message": Data((0, 0, "vector", 1, "control", 20, 0)),  # struct msghdr
}  # fmt: skip


def programs(architecture: str) -> dict[str, bytes]:
    """Return the executables by name."""
    return {
        "pause": docker_elf.program(architecture, _PAUSE, {}),
        "door": docker_elf.program(architecture, _DOOR, _DATA),
    }


def archive(architecture: str) -> bytes:
    """Return the root file system of the image, a tar with the two alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in programs(architecture).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def reference(architecture: str) -> tuple[str, str]:
    """Return repository and tag; the tag changes with the programs."""
    content = b"".join(programs(architecture).values())
    return "kaiun-pause", hashlib.sha256(content).hexdigest()[:12]
