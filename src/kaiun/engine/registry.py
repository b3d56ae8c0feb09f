"""A private registry for the images of the local ECS: CNCF distribution, on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from typing import TYPE_CHECKING, Final

from kaiun.engine.child import (
    LOOPBACK,
    Child,
    answers,
    environment,
    free_port,
    port_becomes_free,
)
from kaiun.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_READY_S: Final = 15.0
_RETRY_S: Final = 15.0
_PROGRAMS: Final = ("docker-registry", "registry")  # Debian's name, then upstream's
_HEALTH: Final = b"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Registry:
    """One registry, its images in `home`/registry. `port` 0: any; see `port` after start."""

    def __init__(self, home: Path, port: int) -> None:
        self.port = port
        self._home = home
        self._child = Child(home, "registry")
        self._lock = asyncio.Lock()
        self._revival: asyncio.Task[None] | None = None

    @property
    def is_new(self) -> bool:
        """Whether it was started here, not adopted."""
        return self._child.is_own

    async def start(self) -> int:
        """Return its port. Raises EngineError without a program, or when the port is taken."""
        async with self._lock:
            process = self._child.adopt()
            if process is not None and self.port in {0, process.port}:
                self.port = process.port
                await self._wait()
            else:
                await self._child.stop()  # of an earlier engine, on another port
                await self._spawn()
            self._child.watch(self._lost)
            return self.port

    def _lost(self) -> None:
        self._revival = asyncio.create_task(self._revive())

    async def _revive(self) -> None:
        """Start it again; where that fails, try again later, for as long as it takes."""
        while True:
            try:
                await self.start()
            except EngineError as problem:
                log.error("the registry cannot be started again: %s", problem)  # noqa: TRY400
                await asyncio.sleep(_RETRY_S)
            else:
                log.info("the registry runs again, on port %s", self.port)
                return

    async def close(self, *, stop: bool) -> None:
        """Let go; with `stop` end it, an earlier engine's too."""
        if self._revival is not None:
            self._revival.cancel()
        self._child.release()
        if stop:
            async with self._lock:
                await self._child.stop()

    async def _spawn(self) -> None:
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None:
            raise EngineError(
                "no registry program (CNCF distribution) is installed",
                hint="Debian: apt-get install docker-registry",
            )
        if self.port and not await port_becomes_free(self.port):
            raise EngineError(
                f"port {self.port} is taken by another program",
                where="registry",
                hint="stop it, or choose another: kaiun local up --registry-port PORT",
            )
        self.port = self.port or free_port()
        self._home.mkdir(parents=True, exist_ok=True)
        settings = self._home / "registry.yml"
        settings.write_text(json.dumps(self._settings(), indent=2))  # JSON is YAML
        self._child.spawn([program, "serve", str(settings)], environment(), port=self.port)
        await self._wait()

    async def _wait(self) -> None:
        await self._child.ready(lambda: answers(self.port, _HEALTH), timeout_s=_READY_S)

    def _settings(self) -> dict[str, object]:
        """Source: distribution, "Configuring a registry", version 0.1."""
        return {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._home / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"{LOOPBACK}:{self.port}"},
        }
