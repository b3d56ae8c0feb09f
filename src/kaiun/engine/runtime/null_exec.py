"""A session in an imagined container: it says that it is one, and gives back what is entered."""

from __future__ import annotations

import asyncio
import uuid

HELLO = (
    b"This container is imagined: nothing runs in it. What you enter comes back; Ctrl-D ends.\r\n"
)
END = b"\x04"


class Echo:
    """Implements runtime.base.Execution. A new size of the terminal is told, too."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._said.put_nowait(HELLO)

    async def read(self) -> bytes:
        return await self._said.get()

    async def write(self, data: bytes) -> None:
        before, end, _ = data.partition(END)
        if before:
            self._said.put_nowait(before.replace(b"\r", b"\r\n"))
        if end:
            self.end_now()

    async def resize(self, columns: int, rows: int) -> None:
        self._said.put_nowait(f"[{columns}x{rows}]\r\n".encode())

    async def end(self) -> None:
        self.end_now()

    def end_now(self) -> None:
        self._said.put_nowait(b"")
