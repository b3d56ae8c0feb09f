"""Startup, serve, shutdown of the engine's process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaiun import files
from kaiun.engine import clock as clocks
from kaiun.engine import identity as identities
from kaiun.engine import operations  # noqa: F401  (registers the handlers)
from kaiun.engine.agent import Agent
from kaiun.engine.alarms import Alarms
from kaiun.engine.autoscaling import policies
from kaiun.engine.autoscaling.activities import settle
from kaiun.engine.cloudmap import registration
from kaiun.engine.core import Core
from kaiun.engine.doors import Doors
from kaiun.engine.ecr import token
from kaiun.engine.ecr.images import Images, Uploads
from kaiun.engine.envfiles import EnvFileReader
from kaiun.engine.eventbus.delivery import deliver
from kaiun.engine.front import Front
from kaiun.engine.functions import Functions
from kaiun.engine.logbook import Logbook
from kaiun.engine.metrics import gauges
from kaiun.engine.metrics.judging import Judge
from kaiun.engine.metrics.monitor import Monitor
from kaiun.engine.outfit import Outfit, Sides
from kaiun.engine.proxy import Proxy
from kaiun.engine.runtime.base import Observation
from kaiun.engine.schedules.rules import RuleReader, Rules
from kaiun.engine.secrets import SecretReader
from kaiun.engine.server import App
from kaiun.engine.sessions.sessions import Sessions
from kaiun.engine.shifts import Shifts
from kaiun.engine.sidecall import SideCalls
from kaiun.engine.store import Store
from kaiun.engine.supplies import Supplier
from kaiun.engine.targets import Targets
from kaiun.engine.taskdoor import TaskDoor
from kaiun.engine.tasklogs import TaskLogs
from kaiun.engine.taskrole import TaskRoles
from kaiun.engine.world import World
from kaiun.local import home as places

if TYPE_CHECKING:
    from kaiun.engine.accesslog import AccessLogs

log = logging.getLogger(__name__)

STEADY_S = 5.0
START_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. Ports are on loopback; 0 asks for an ephemeral one."""

    home: Path
    port: int
    registry_port: int
    fluent_port: int
    runtime: str
    time_scale: float = 1.0
    imagined: Mapping[str, str] = field(default_factory=dict)  # of null.BEHAVIOUR
    allow_reset: bool = False  # without a signature


def run(options: Options) -> None:
    """Run until SIGTERM, SIGINT or a shutdown request. Raises EngineError."""
    import uvloop

    options.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Process(options).run())


async def _all(*steps: Coroutine[Any, Any, None]) -> None:
    """Run all to their end, then raise what the first of them raised."""
    for problem in await asyncio.gather(*steps, return_exceptions=True):
        if problem is not None:
            raise problem


class _Process:
    """One run; implements server.Admin."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._store = Store(options.home / places.STATE_DB)
        self._identity = identities.recall(self._store)
        steady_s = float(os.environ.get("KAIUN_STEADY_S", STEADY_S))
        self._world = World(
            self._store,
            self._identity,
            Logbook(self._store),
            clock=clocks.recall(self._store, options.time_scale),
            steady_s=steady_s,
        )
        self._world.null_runtime = options.runtime == "null"
        self._world.images = Images(options.home / "registry")
        self._world.uploads = Uploads(options.home / "layer-uploads")
        self._world.judge = Judge(self._world, policies.act(self._world))
        self._ended = asyncio.Event()
        self._ready = False
        self._stop_containers = False
        self._core_task: asyncio.Task[None] | None = None
        self._monitor_task: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None]  # beside the core
        self._access_logs: AccessLogs | None = None

    async def run(self) -> None:
        self._front = Front(self._options.port)
        self._world.endpoint = self._front.url
        sides = Sides(self._options.home)
        engine_id = self._identity.engine_id
        self._outfit = Outfit(self._options, engine_id, sides, self._world.clock, self._login)
        self._sessions = Sessions(self._world, lambda: self._outfit.runtime)
        self._targets = Targets(self._world, self._outfit.probe)
        self._rules = Rules(self._world, RuleReader(self._identity, sides.locate))
        sides.on_loss = self._rules.forget
        self._calls = SideCalls(self._identity, sides.locate)
        self._door = TaskDoor(self._world, TaskRoles(self._world, self._calls))
        app = App(
            self._world,
            Proxy(sides.locate),
            self,
            self._rules,
            Proxy(self._outfit.locate_registry),
            tasks=self._door,
            open_reset=self._options.allow_reset,
        )
        self._front.serve(Doors(app, self._sessions))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._ended.set)
        try:
            await self._start_or_end()
            await self._ended.wait()
        finally:
            await self._finish()
            await self._front.close()
            self._store.close()

    def _login(self, registry: str) -> tuple[str, str] | None:
        """Return the login that tasks' images are pulled with: ours for our ECR, as the agent of
        ECS has the execution role's."""
        port = self._world.ecr_host.rpartition(":")[2]
        if registry not in (f"localhost:{port}", f"127.0.0.1:{port}"):
            return None
        return token.USER, token.make(self._identity.secret_key, self._world.now())[0]

    async def _start_or_end(self) -> None:
        """Start; told to end meanwhile, wait for that no longer than START_PATIENCE_S."""
        starting = asyncio.create_task(self._start())
        ending = asyncio.create_task(self._ended.wait())
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not starting.done():
            await asyncio.wait({starting}, timeout=START_PATIENCE_S)
            starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting

    async def _start(self) -> None:
        """Bring up what surrounds the API, which answers already."""
        home = self._options.home
        (home / places.ENGINE_PID).write_text(f"{os.getpid()}\n")
        outfit = self._outfit
        # imports take longer than all the rest
        await asyncio.to_thread(outfit.load, self._targets.rewire, self._front.admit)
        self._door.insight = outfit.insight
        self._agent = Agent(self._world, outfit.runtime, self._targets, self._supplier())
        self._logs = TaskLogs(self._world, self._agent, outfit.runtime.lines_kept)
        await outfit.start_fluent(self._logs.fluent_record, self._logs.flush)
        await _all(outfit.start_registry(), self._adopt_containers())
        await self._recall_rules()
        self._write_env()
        self._run_core()
        self._ready = True
        log.info("listening on %s", self._front.url)

    def _supplier(self) -> Supplier:
        calls = self._calls
        dns_name = functools.partial(registration.dns_name, self._world)
        return Supplier(SecretReader(calls), EnvFileReader(calls), dns_name)

    async def _recall_rules(self) -> None:
        """Read the rules of EventBridge from the side services of before, if they run."""
        if self._outfit.sides.running:
            await self._rules.read()
        else:
            self._rules.forget()

    async def _adopt_containers(self) -> None:
        outfit = self._outfit
        seen: set[tuple[str, str]] = set()

        def observe(observation: Observation) -> None:
            seen.add((observation.task_id, observation.name))
            self._agent.observe(observation)

        await outfit.runtime.open(observe, self._logs.line)
        self._agent.lost(seen)
        await self._sessions.end_left()
        await outfit.balancer.open()
        if self._options.runtime != "null":
            await self._start_access_logs()
        await self._agent.remove_orphans()

    async def _start_access_logs(self) -> None:
        from kaiun.engine.accesslog import AccessLogs
        from kaiun.engine.balancer.haproxy import log_socket

        where = log_socket(self._options.home)
        self._access_logs = AccessLogs(self._world, where, self._outfit.sides.locate)
        await self._access_logs.start()

    def _run_core(self) -> None:
        alarms = Alarms(self._world)
        functions = Functions(self._options.home)
        self._shifts = Shifts(self._world, self._targets, functions, alarms)
        balancer = self._outfit.balancer
        calls = SideCalls(self._identity, self._outfit.sides.locate)
        self._delivering = asyncio.create_task(deliver(self._world, calls))
        self._delivering.add_done_callback(self._core_ended)
        core = Core(self._world, self._agent, self._targets, balancer, self._shifts)
        self._core_task = asyncio.create_task(core.run())
        self._core_task.add_done_callback(self._core_ended)
        then = (self._world.judge, lambda _ended: settle(self._world))
        monitor = Monitor(self._world, self._gauges(), then)
        self._monitor_task = asyncio.create_task(monitor.run())

    def _gauges(self) -> Sequence[gauges.Gauge]:
        if self._world.null_runtime:
            return gauges.imagined(self._world, self._options.home, self._options.imagined)
        return gauges.measured(self._world, self._outfit.runtime, self._outfit.balancer)

    def _core_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("the loop ended", exc_info=problem)
            self._ended.set()

    def _write_env(self) -> None:
        path = self._options.home / places.ENV_JSON
        content = {
            "endpoint": self._world.endpoint,
            "region": self._identity.region,
            "access_key": self._identity.access_key,
            "secret_key": self._identity.secret_key,
            "account": self._identity.account,
            "registry": self._outfit.registry_address,
            "fluent": self._outfit.fluent_address,
            "runtime": self._options.runtime,
        }
        files.replace(path, json.dumps(content, indent=1) + "\n", mode=0o600)

    def health(self) -> dict[str, Any]:
        """Return what GET /_kaiun/health says."""
        return {
            "status": "ok" if self._ready else "starting",
            "pid": os.getpid(),
            "engine_id": self._identity.engine_id,
            "runtime": self._options.runtime,
            "registry": self._outfit.registry_address,
            "fluent": self._outfit.fluent_address,
        }

    async def shutdown(self, *, keep_containers: bool) -> None:
        self._stop_containers = not keep_containers
        asyncio.get_running_loop().call_later(0.05, self._ended.set)

    async def reset(self) -> None:
        """Forget everything but the identity; remove all containers."""
        if not self._ready:
            return
        await self._sessions.close("The local ECS was reset.")
        await self._stop_core()
        await self._targets.close()
        await self._agent.stop_all("The local ECS was reset")
        for name in self._world.repositories:
            self._world.images.forget(name)
        self._store.clear(keep=("identity", "clock"))
        self._world.recall()
        await self._outfit.reset()
        self._targets.rewire()
        self._run_core()

    async def _stop_core(self) -> None:
        if self._core_task is not None and self._monitor_task is not None:
            running = (self._core_task, self._monitor_task, self._delivering)
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._shifts.close()
        self._core_task = None

    async def _finish(self) -> None:
        await self._sessions.close("The local ECS was shut down.")
        await self._stop_core()
        if self._ready:
            if self._stop_containers:
                await self._agent.stop_all("The local ECS was shut down")
            await self._targets.close()
            await self._agent.cancel()
        if self._access_logs is not None:
            await self._access_logs.close()
        self._world.logbook.flush()
        self._store.commit()
        if self._ready:
            await self._outfit.close(stop=self._stop_containers)
        else:
            await self._outfit.abandon()
        (self._options.home / places.ENGINE_PID).unlink(missing_ok=True)
