"""What surrounds the core: runtime, data plane, probes, fluent receiver, registry, side services.

Drivers are imported when they are first needed, for an engine must answer at once and stay small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from kaiun.engine.balancer.base import Balancer
from kaiun.engine.clock import Clock
from kaiun.engine.runtime.base import Runtime
from kaiun.engine.store import Doc
from kaiun.errors import EngineError
from kaiun.scheduler.target import DESCRIPTIONS, FAILED_CHECKS, Check

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.engine.fluent import FluentReceiver, FluentRecord
    from kaiun.engine.registry import Registry
    from kaiun.engine.runtime.docker_door import Admit
    from kaiun.engine.side import SideServices
    from kaiun.engine.taskdoor import Insight

log = logging.getLogger(__name__)

Login = Callable[[str], tuple[str, str] | None]  # a registry → user and password, our own


class _Options(Protocol):
    @property
    def home(self) -> Path: ...
    @property
    def registry_port(self) -> int: ...
    @property
    def fluent_port(self) -> int: ...
    @property
    def runtime(self) -> str: ...
    @property
    def imagined(self) -> Mapping[str, str]: ...


class Sides:
    """The side services: nothing runs, nor is imported, before somebody needs them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._services: SideServices | None = None
        self.on_loss: Callable[[], None] | None = None  # they ended, and what they had is gone

    @property
    def running(self) -> bool:
        return (self._home / "moto.pid").exists() and self._own().running

    async def locate(self) -> tuple[str, int]:
        """Start the side services if they do not run; return where they listen."""
        return await self._own().start()

    async def close(self, *, stop: bool) -> None:
        await self._own().close(stop=stop)

    async def forget(self) -> None:
        await self._own().forget()

    def _own(self) -> SideServices:
        if self._services is None:
            from kaiun.engine.side import SideServices

            self._services = SideServices(self._home, on_loss=self.on_loss)
        return self._services


class Outfit:
    """The drivers of one engine. Fluent receiver and registry come with Docker only."""

    runtime: Runtime
    balancer: Balancer
    insight: Insight | None = None  # of real containers

    def __init__(
        self, options: _Options, engine_id: str, sides: Sides, clock: Clock, login: Login
    ) -> None:
        self.sides = sides
        self._login = login
        self._clock = clock
        self.registry_address = f"localhost:{options.registry_port}"
        self.fluent_address = f"127.0.0.1:{options.fluent_port}"
        self._options = options
        self._engine_id = engine_id
        self._is_null = options.runtime == "null"
        self._loaded = False
        self._registry: Registry | None = None
        self._fluent: FluentReceiver | None = None

    def load(self, on_loss: Callable[[], None], admit: Admit) -> None:
        """Import and make the runtime and the data plane.

        `on_loss`: see HaproxyBalancer. `admit` serves the socket that tasks' requests come in at.
        """
        home = self._options.home
        if self._is_null:
            from kaiun.engine.balancer.null import NullBalancer
            from kaiun.engine.runtime.null import NullRuntime

            self.runtime = NullRuntime(home, self._clock, self._options.imagined)
            self.balancer = NullBalancer()
        else:
            from kaiun.engine.balancer.haproxy import HaproxyBalancer
            from kaiun.engine.runtime.docker import DockerRuntime

            self.runtime = self.insight = DockerRuntime(
                self._engine_id, home, positions_on_request=True, login=self._login, admit=admit
            )
            self.balancer = HaproxyBalancer(home, on_loss)
        self._loaded = True

    async def probe(self, target: Doc, group: Doc) -> Check:
        """Check the health of one target."""
        if self._is_null:
            return self._imagined(target, group)
        return await _ask(target, group)

    def _imagined(self, target: Doc, group: Doc) -> Check:
        from kaiun.engine.runtime.null import NullRuntime

        runtime, task = self.runtime, target["task"]
        assert isinstance(runtime, NullRuntime)  # noqa: S101  (see load)
        if task is None or runtime.is_target_healthy(task, group.get("HealthCheckPath", "")):
            return Check(ok=True)
        return Check(ok=False, reason=FAILED_CHECKS, description=DESCRIPTIONS[FAILED_CHECKS])

    async def start_fluent(
        self, on_record: Callable[[FluentRecord], None], keep: Callable[[], None]
    ) -> None:
        if self._is_null:
            return
        from kaiun.engine.fluent import FluentReceiver

        self._fluent = FluentReceiver("127.0.0.1", self._options.fluent_port, on_record, keep)
        try:
            await self._fluent.start()
        except OSError as problem:
            raise EngineError(
                f"port {self._options.fluent_port} cannot be used: {problem.strerror}",
                where="log receiver",
                hint="kaiun local up --fluent-port PORT",
            ) from problem
        self.fluent_address = f"127.0.0.1:{self._fluent.port}"

    async def start_registry(self) -> None:
        if self._is_null:
            return
        from kaiun.engine.registry import Registry

        self._registry = Registry(self._options.home, self._options.registry_port)
        port = await self._registry.start()
        self.registry_address = f"localhost:{port}"

    async def locate_registry(self) -> tuple[str, int]:
        """Return where the registry listens. Raises EngineError while there is none."""
        if self._registry is None:
            raise EngineError("the registry does not run yet")
        return "127.0.0.1", self._registry.port

    async def reset(self) -> None:
        """Remove what the store no longer knows, and end the side services with their data."""
        await self.runtime.purge()
        await self.sides.forget()

    async def close(self, *, stop: bool) -> None:
        """Let go; with `stop` end the data plane, the registry and the side services too."""
        if self._loaded:
            if stop:
                await self._rest()
            await self.runtime.close()
            await self.balancer.close(stop=stop)
        await self.sides.close(stop=stop)
        if self._registry is not None:
            await self._registry.close(stop=stop)
        if self._fluent is not None:
            await self._fluent.close()

    async def _rest(self) -> None:
        try:
            await self.runtime.rest()
        except Exception:
            log.exception("not all that the containers stood on could be removed")

    async def abandon(self) -> None:
        """Undo a start that came to nothing: what ran before it goes on, the rest ends."""
        if self._registry is not None and self._registry.is_new:
            await self._registry.close(stop=True)
        await self.close(stop=False)


async def _ask(target: Doc, group: Doc) -> Check:
    from kaiun.engine.probe import ProbeSettings, check

    port = group["HealthCheckPort"]
    settings = ProbeSettings(
        protocol=group["HealthCheckProtocol"],
        path=group.get("HealthCheckPath", "/"),
        port=None if port == "traffic-port" else int(port),
        timeout_s=float(group["HealthCheckTimeoutSeconds"]),
        matcher=group.get("Matcher", {}).get("HttpCode", "200"),
    )
    result = await check(target["address"], target["port"], settings)
    return Check(ok=result.ok, reason=result.reason, description=result.description)
