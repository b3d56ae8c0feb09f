"""A worker that leaves after a reload, held until its last request is counted.

It would end together with its last request, and take the counters along. A connection to its own
command line keeps it: this one is made before the reload, while its socket is still the worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 5.0
_PAUSES_S: Final = (0.05, 1.0)  # the first, and the longest: each is twice the one before
_PROMPT: Final = b"\n> "
Note = Callable[[list[dict[str, str]]], None]


@dataclass(slots=True)
class Session:
    """A command line of one worker that stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, command: str) -> str:
        """Raises OSError, TimeoutError or EOFError where the worker has gone."""
        async with asyncio.timeout(_TIMEOUT_S):
            self.writer.write(f"{command}\n".encode())
            await self.writer.drain()
            answer = await self.reader.readuntil(_PROMPT)
        return answer.removesuffix(_PROMPT).decode(errors="replace").strip()

    def close(self) -> None:
        self.writer.close()


async def hold(path: str) -> Session | None:
    """Return a session with the worker that now listens at `path`; None where none does."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            session = Session(*await asyncio.open_unix_connection(path, limit=1 << 24))
        await session.ask("prompt")
    except (OSError, TimeoutError, EOFError):
        return None
    return session


async def see_off(session: Session, note: Note) -> None:
    """Have the counters noted until the worker has nothing to do any more, then let it end."""
    pause_s, longest_s = _PAUSES_S
    try:
        while True:
            is_leaving = "\nStopping: 1" in await session.ask("show info")
            text = await session.ask("show stat")
            rows = list(csv.DictReader(text.removeprefix("# ").splitlines()))
            note(rows)
            if is_leaving and not any(_sessions(row) for row in rows):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)
    except (OSError, TimeoutError, EOFError):
        return  # it has gone
    finally:
        session.close()


def _sessions(row: dict[str, str]) -> int:
    return int(row["scur"] or 0) if row["svname"] == "FRONTEND" else 0


class Leavers:
    """All workers that are being seen off."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session: Session, note: Note) -> None:
        task = asyncio.create_task(see_off(session, note))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
