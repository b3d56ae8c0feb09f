"""What surrounds the core: runtime, data plane, probes, fluent receiver, registry, side services.

Drivers are imported when they are first needed, for an engine must answer at once and stay small.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kaiun.engine.balancer.base import Balancer
from kaiun.engine.runtime.base import Runtime
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.errors import EngineError
from kaiun.scheduler.target import Check

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.engine.fluent import FluentReceiver, FluentRecord
    from kaiun.engine.registry import Registry
    from kaiun.engine.runtime.null import NullRuntime
    from kaiun.engine.side import SideServices
    from kaiun.engine.targets import Probe


class _Options(Protocol):
    @property
    def home(self) -> Path: ...
    @property
    def registry_port(self) -> int: ...
    @property
    def fluent_port(self) -> int: ...
    @property
    def runtime(self) -> str: ...


@dataclass(slots=True)
class Outfit:
    """The drivers of one engine. Fluent receiver and registry come with Docker only."""

    options: _Options
    runtime: Runtime
    balancer: Balancer
    probe: Probe
    registry_address: str
    fluent_address: str
    side: SideServices | None = None
    registry: Registry | None = None
    fluent: FluentReceiver | None = None

    async def locate_side(self) -> tuple[str, int]:
        """Start the side services if they do not run; return where they listen."""
        host, port = await self._sides().start()
        return host, port

    def _sides(self) -> SideServices:
        if self.side is None:
            from kaiun.engine.side import SideServices

            self.side = SideServices(self.options.home)
        return self.side

    async def start_fluent(self, on_record: Callable[[FluentRecord], None]) -> None:
        if self.options.runtime == "null":
            return
        from kaiun.engine.fluent import FluentReceiver

        self.fluent = FluentReceiver("127.0.0.1", self.options.fluent_port, on_record)
        try:
            await self.fluent.start()
        except OSError as problem:
            raise EngineError(
                f"port {self.options.fluent_port} cannot be used: {problem.strerror}",
                where="log receiver",
                hint="kaiun local up --fluent-port PORT",
            ) from problem
        self.fluent_address = f"127.0.0.1:{self.fluent.port}"

    async def start_registry(self) -> None:
        if self.options.runtime == "null":
            return
        from kaiun.engine.registry import Registry

        self.registry = Registry(self.options.home, self.options.registry_port)
        port = await self.registry.start()
        self.registry_address = f"localhost:{port}"

    async def reset(self) -> None:
        await self.runtime.purge()
        await self._sides().close(stop=True)

    async def close(self, *, stop: bool) -> None:
        """Let go; with `stop` end the data plane, the registry and the side services too."""
        await self.runtime.close()
        await self.balancer.close(stop=stop)
        await self._sides().close(stop=stop)
        if self.registry is not None:
            await self.registry.close(stop=stop)
        if self.fluent is not None:
            await self.fluent.close()


def make_outfit(options: _Options, world: World) -> Outfit:
    """Return the drivers that the options ask for; nothing is started."""
    registry = f"localhost:{options.registry_port}"
    fluent = f"127.0.0.1:{options.fluent_port}"
    if options.runtime == "null":
        from kaiun.engine.balancer.null import NullBalancer
        from kaiun.engine.runtime.null import NullRuntime

        runtime = NullRuntime(options.home)
        return Outfit(options, runtime, NullBalancer(), _null_probe(runtime), registry, fluent)
    from kaiun.engine.balancer.haproxy import HaproxyBalancer
    from kaiun.engine.runtime.docker import DockerRuntime

    docker = DockerRuntime(world.identity.engine_id, options.home, positions_on_request=True)
    return Outfit(options, docker, HaproxyBalancer(options.home), _probe, registry, fluent)


def _null_probe(runtime: NullRuntime) -> Callable[[Doc, Doc], Awaitable[Check]]:
    async def probe(target: Doc, _group: Doc) -> Check:
        task = target["task"]
        if task is None or runtime.is_target_healthy(task):
            return Check(ok=True)
        return Check(
            ok=False, reason="Target.FailedHealthChecks", description="Health checks failed"
        )

    return probe


async def _probe(target: Doc, group: Doc) -> Check:
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
