"""The services beside ECS (S3, SSM, Secrets Manager, STS, IAM, ECR): a moto server, on demand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
from typing import TYPE_CHECKING, Final

from kaiun.engine.child import LOOPBACK, Child, answers, environment, free_port
from kaiun.engine.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

_READY_S: Final = 60.0
_HEALTH: Final = b"GET /moto-api/data.json HTTP/1.0\r\n\r\n"


class SideServices:
    """One moto server in `home`, started by the first that needs it."""

    def __init__(
        self,
        home: Path,
        *,
        account_id: str = "000000000000",
        on_loss: Callable[[], None] | None = None,
    ) -> None:
        self._child = Child(home, "moto")
        self._folder = home / "s3"
        self._account_id = account_id
        self._lock = asyncio.Lock()
        self._on_loss = on_loss

    @property
    def running(self) -> bool:
        return self._child.adopt() is not None

    async def start(self) -> tuple[str, int]:
        """Return (host, port) of the server, which answers. Raises EngineError if it cannot."""
        async with self._lock:
            process = self._child.adopt()
            if process is None:
                port = free_port()
                command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
                env = environment(MOTO_ACCOUNT_ID=self._account_id, PYTHONUNBUFFERED="1")
                process = self._child.spawn(command, env, port=port)
                await self._child.ready(lambda: answers(port, _HEALTH), timeout_s=_READY_S)
                await self._with_shelf(port, Shelf.restore)
            self._child.watch(self._lost)
            return LOOPBACK, process.port

    def _lost(self) -> None:
        _say_lost()
        if self._on_loss is not None:
            self._on_loss()

    async def close(self, *, stop: bool) -> None:
        """Let go; with `stop` end it, an earlier engine's too, once its buckets are on disk."""
        self._child.release()
        if stop:
            async with self._lock:
                if (process := self._child.adopt()) is not None:
                    await self._with_shelf(process.port, Shelf.store)
                await self._child.stop()

    async def forget(self) -> None:
        """End it, with all that it ever had."""
        self._child.release()
        async with self._lock:
            await self._child.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _with_shelf(self, port: int, work: Callable[[Shelf], None]) -> None:
        """Store or restore; what cannot be is said in the log, and keeps nothing from going on."""
        try:
            with contextlib.closing(Shelf(port, self._folder)) as shelf:
                await asyncio.to_thread(work, shelf)
        except Exception:
            log.exception("the buckets of the local S3 could not be kept, or not be had again")


def _say_lost() -> None:
    log.warning(
        "the side services forgot what they had since the last `down`; their next use starts them"
    )
