"""What tasks ask of the runtime: queued until it is committed, then each under way once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
PREPARE: Final = "prepare"
START: Final = "start"

_Key = tuple[str, str]  # task id, what


class Commands:
    """Commands by task and kind. One that is under way is not given twice; `wake` is called with
    the task's id when one is over, for what it asked for is asked again where that failed."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._under_way: dict[_Key, asyncio.Task[None]] = {}
        self._waiting: dict[_Key, Callable[[], Awaitable[None]]] = {}

    def queue(self, task_id: str, what: str, run: Callable[[], Awaitable[None]]) -> None:
        key = (task_id, what)
        if key not in self._under_way:
            self._waiting.setdefault(key, run)

    def run(self) -> None:
        """Start what was queued; called once the state that it follows from is committed."""
        waiting, self._waiting = self._waiting, {}
        for key, run in waiting.items():
            self._under_way[key] = asyncio.create_task(self._guard(key, run))

    async def _guard(self, key: _Key, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception:
            log.exception("task %s: %s failed, trying again", *key)
            await asyncio.sleep(RETRY_S)
        finally:
            self._under_way.pop(key, None)
            self._wake(key[0])

    async def made(self, task_id: str) -> None:
        """Wait for what is being made for a task, or it would be there after all was removed."""
        making = [
            work
            for (of, what), work in self._under_way.items()
            if of == task_id and what.partition(" ")[0] in (PREPARE, START)
        ]
        await asyncio.gather(*making, return_exceptions=True)

    async def cancel(self) -> None:
        """End all that are under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
