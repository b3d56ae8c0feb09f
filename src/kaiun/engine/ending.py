"""Be told when a process ends, a child or not, without asking again and again.

Source: pidfd_open(2), Linux 5.3: the descriptor is readable once the process has ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class Ending:
    """Calls `then` once, in the running loop, when process `pid` ends; unless cancelled."""

    def __init__(self, pid: int, then: Callable[[], None]) -> None:
        self._then = then
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        self._soon: asyncio.Handle | None = None
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._soon = self._loop.call_soon(then)
        else:
            self._loop.add_reader(self._descriptor, self._ended)

    def cancel(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _ended(self) -> None:
        self.cancel()
        self._then()
