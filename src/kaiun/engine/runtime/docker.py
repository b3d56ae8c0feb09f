"""Tasks as containers of the Docker Engine.

One bridge network for each engine, and every task on it. A container can have one name only,
made of the task and its own, so that a second start finds the first. Starting one is create,
start and one inspect: what `docker run` does, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiodocker
import aiohttp

from kaiun.engine.runtime import docker_images, docker_spec, docker_state
from kaiun.engine.runtime.base import (
    ContainerSpec,
    ContainerStatus,
    NetworkMode,
    Observation,
    Observe,
    RuntimeFailure,
    Sink,
    TaskSpec,
)
from kaiun.engine.runtime.docker_logs import Follower, Positions
from kaiun.engine.runtime.docker_stream import stream
from kaiun.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

log = logging.getLogger(__name__)

_DRAIN_S: Final = 2.0  # how long an exit waits for the container's last lines
_RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_AT_ONCE: Final = 16  # inspections at the same time
_SOCKETS: Final = (Path("/run/docker.sock"), Path("/var/run/docker.sock"))


class DockerRuntime:
    """See kaiun.engine.runtime.base.Runtime. `home` keeps the positions in the logs."""

    def __init__(self, engine_id: str, home: Path, *, docker_host: str | None = None) -> None:
        self._engine_id = engine_id
        self._home = home
        self._host = docker_host
        self._network = docker_spec.network_name(engine_id)
        self._known: dict[str, Observation] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str | None] = {}
        self._pause_image: str | None = None
        self._pauses: dict[str, str] = {}  # task id → address of its namespace
        self._locks: dict[str, asyncio.Lock] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._own: set[str] = set()  # containers being started or removed by us
        self._ready_network = False
        self._setup = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._connector: aiohttp.BaseConnector | None = None

    async def open(self, observe: Observe, sink: Sink) -> None:

        self._observe, self._sink = observe, sink
        folder = self._home / "log-positions"
        folder.mkdir(parents=True, exist_ok=True)
        self._positions: Positions = Positions(folder)
        self._docker = self._connect()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        listed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watcher = asyncio.create_task(self._watch(listed))
        try:
            await listed
        except EngineError:
            await self.close()
            raise

    def _connect(self) -> aiodocker.Docker:

        host = self._host or os.environ.get("DOCKER_HOST")
        if host is None:
            host = next((f"unix://{path}" for path in _SOCKETS if path.is_socket()), None)
        if host is None:
            raise EngineError(
                "there is no Docker Engine here",
                hint="install it (Debian: apt-get install docker.io), or set DOCKER_HOST",
            )
        if host.startswith("unix://"):
            # every followed log holds a connection: no limit on their number
            self._connector = aiohttp.UnixConnector(host.removeprefix("unix://"), limit=0)
            host = "unix://localhost"
        return aiodocker.Docker(host, connector=self._connector)

    async def prepare(self, task: TaskSpec) -> None:
        images = sorted({spec.image for spec in task.containers})
        await asyncio.gather(self._ensure_network(), *map(self._ensure_image, images))
        if task.network_mode is NetworkMode.AWSVPC:
            await self._ensure_pause(task)

    async def start(self, task: TaskSpec, name: str) -> Observation:
        await self._ensure_network()
        if task.network_mode is NetworkMode.AWSVPC:
            await self._ensure_pause(task)
        spec = next(spec for spec in task.containers if spec.name == name)
        container_id = await self._create(task, spec)
        return await self._start(container_id, name)

    async def stop(self, task_id: str, name: str, timeout_s: int) -> None:
        container_id = await self._find(task_id, name)
        if container_id is not None:
            with _gone_is_fine():
                await self._docker.containers.container(container_id).stop(t=timeout_s)

    async def remove(self, task_id: str) -> None:
        ids = [c["Id"] for c in await self._list(f"kaiun.task={task_id}")]
        await asyncio.gather(*map(self._remove, ids))
        self._pauses.pop(task_id, None)

    async def tasks(self) -> set[str]:
        return {c["Labels"]["kaiun.task"] for c in await self._list()}

    async def purge(self) -> None:
        """Remove every container of this engine, its named volumes and its network."""
        await asyncio.gather(*(self._remove(c["Id"]) for c in await self._list()))
        self._pauses.clear()
        self._ready_network = False
        with _gone_is_fine():
            await (await self._docker.networks.get(self._network)).delete()
        await self._remove_volumes()

    async def close(self) -> None:
        background = [*self._followers.values(), *self._work]
        if self._watcher is not None:
            background.append(self._watcher)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._followers.clear()
        await self._docker.close()
        if self._connector is not None:
            await self._connector.close()

    # -- what a task needs before its containers

    async def _ensure_network(self) -> None:

        async with self._setup:
            if self._ready_network:
                return
            with _failing_with("ResourceInitializationError"):
                if not await self._docker.networks.list(filters={"name": f"^{self._network}$"}):
                    await self._docker.networks.create(
                        {
                            "Name": self._network,
                            "Driver": "bridge",
                            "CheckDuplicate": True,
                            "Labels": {"kaiun.engine": self._engine_id},
                        }
                    )
            self._ready_network = True

    async def _ensure_image(self, image: str) -> None:

        self._digests[image] = await docker_images.ensure(self._docker, image)

    async def _ensure_pause(self, task: TaskSpec) -> None:
        """Have the task's network namespace, and remember its address."""
        if task.task_id in self._pauses:
            return
        async with self._locks.setdefault(task.task_id, asyncio.Lock()):
            if task.task_id not in self._pauses:
                self._pauses[task.task_id] = await self._make_pause(task)

    async def _make_pause(self, task: TaskSpec) -> str:

        code = "ResourceInitializationError"
        with _failing_with(code):
            if self._pause_image is None:
                self._pause_image = await docker_images.ensure_pause(self._docker)
            config = docker_spec.pause(self._engine_id, task, self._pause_image)
            name = docker_spec.container_name(task, docker_spec.PAUSE)
            container = self._docker.containers.container(await self._create_once(config, name))
            await container.start()
            inspected = await container.show()
        address = docker_state.observation(inspected).address
        if not inspected["State"]["Running"] or not address:
            raise RuntimeFailure(code, "the task's network namespace has ended")
        return address

    # -- one container

    async def _create(self, task: TaskSpec, spec: ContainerSpec) -> str:

        name = docker_spec.container_name(task, spec.name)
        digest = self._digests.get(spec.image)
        config = docker_spec.container(self._engine_id, task, spec, digest)
        with _failing_with("CannotCreateContainerError"):
            try:
                return await self._create_once(config, name)
            except aiodocker.DockerError as error:
                if error.status != 404 or "image" not in error.message.lower():
                    raise
            await self._ensure_image(spec.image)
            return await self._create_once(config, name)

    async def _create_once(self, config: Json, name: str) -> str:
        """Return the id of the container of this name, created unless it exists."""

        try:
            return (await self._docker.containers.create(config, name=name)).id
        except aiodocker.DockerError as error:
            if error.status != 409:
                raise
            there = await self._docker.containers.container(name).show()
            if there["Config"]["Labels"].get("kaiun.engine") != self._engine_id:
                raise
            return str(there["Id"])

    async def _start(self, container_id: str, name: str) -> Observation:

        self._own.add(container_id)
        try:
            with _failing_with("CannotStartContainerError"):
                await self._start_once(container_id)
                await self._refresh(container_id)
        finally:
            self._own.discard(container_id)
        known = self._known.get(container_id)
        if known is None:
            raise RuntimeFailure("CannotStartContainerError", f"{name} was removed as it started")
        return known

    async def _start_once(self, container_id: str) -> None:
        """Start unless it has run before: a task's container runs once."""
        known = self._known.get(container_id)
        if known is None or known.status is ContainerStatus.CREATED:
            await self._docker.containers.container(container_id).start()

    async def _remove(self, container_id: str) -> None:
        self._own.add(container_id)
        known = self._known.get(container_id)
        if known is not None and known.status is ContainerStatus.EXITED:
            await self._last_lines(container_id)
        with _gone_is_fine():
            await self._docker.containers.container(container_id).delete(force=True, v=True)
        self._forget(container_id)
        self._own.discard(container_id)

    async def _remove_volumes(self) -> None:
        volumes: Any = self._docker.volumes  # which aiodocker leaves untyped
        prefix = docker_spec.volume_name(self._engine_id, "")
        listed = await volumes.list(filters={"name": [prefix]})  # any part of the name
        for name in (volume["Name"] for volume in listed["Volumes"] or ()):
            if name.startswith(prefix):
                with _gone_is_fine():
                    await (await volumes.get(name)).delete()

    def _forget(self, container_id: str) -> Observation | None:
        known = self._known.pop(container_id, None)
        if known is not None and self._ids.get((known.task_id, known.name)) == container_id:
            del self._ids[(known.task_id, known.name)]
        self._locks.pop(container_id, None)
        follower = self._followers.pop(container_id, None)
        if follower is not None:
            follower.cancel()
        self._positions.forget(container_id)
        return known

    async def _find(self, task_id: str, name: str) -> str | None:
        known = self._ids.get((task_id, name))
        if known is not None:
            return known
        listed = await self._list(f"kaiun.task={task_id}", f"kaiun.container={name}")
        return str(listed[0]["Id"]) if listed else None

    async def _list(self, *marks: str) -> list[Json]:
        filters = {"label": [f"kaiun.engine={self._engine_id}", *marks]}
        params: dict[str, str | int] = {"all": 1, "filters": json.dumps(filters)}
        listed: list[Json] = await self._docker._query_json("containers/json", params=params)
        return listed

    # -- what happens

    async def _watch(self, listed: asyncio.Future[None]) -> None:
        """Follow the events for ever; after each (re)connection look at everything once."""

        failures = 0
        while True:
            try:
                async with self._events() as events:
                    await self._look()
                    failures = 0
                    if not listed.done():
                        listed.set_result(None)
                    async for line in events.content:
                        self._on_event(json.loads(line))
            except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
                if not listed.done():
                    listed.set_exception(_unreachable(error))
                    return
            await asyncio.sleep(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])
            failures += 1

    def _events(self) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        filters = {
            "type": ["container"],
            "label": [f"kaiun.engine={self._engine_id}"],
            "event": ["start", "die", "oom", "health_status", "destroy"],
        }
        return stream(self._docker, "events", {"filters": json.dumps(filters)})

    async def _look(self) -> None:
        """Look at all containers; at those that hold a task's address first."""
        listed = {c["Id"]: c["Labels"]["kaiun.container"] for c in await self._list()}
        for container_id in set(self._known) - set(listed):
            self._vanish(container_id)
        self._positions.keep_only(set(listed))
        pauses = {i for i, name in listed.items() if name == docker_spec.PAUSE}
        await asyncio.gather(*map(self._refresh_quietly, pauses))
        await asyncio.gather(*map(self._refresh_quietly, set(listed) - pauses))

    def _on_event(self, event: Json) -> None:
        container_id, action = event["Actor"]["ID"], event["Action"]
        if action == "destroy":
            if container_id not in self._own:
                self._vanish(container_id)
        elif not (action == "start" and container_id in self._own):
            work = asyncio.create_task(self._refresh_quietly(container_id))
            self._work.add(work)
            work.add_done_callback(self._work.discard)
            work.add_done_callback(_report)

    def _vanish(self, container_id: str) -> None:
        known = self._forget(container_id)
        if known is not None:
            self._observe(replace(known, status=ContainerStatus.GONE))

    async def _refresh_quietly(self, container_id: str) -> None:

        with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError):
            await self._refresh(container_id)

    async def _refresh(self, container_id: str) -> None:
        """Inspect, and tell what is new. One at a time for each container, so in order."""
        async with self._locks.setdefault(container_id, asyncio.Lock()):
            async with self._gate:
                inspected = await self._docker.containers.container(container_id).show()
            task_id = inspected["Config"]["Labels"]["kaiun.task"]
            seen = docker_state.observation(inspected, self._pauses.get(task_id))
            if seen.name == docker_spec.PAUSE:
                self._see_pause(seen)
                return
            self._ids[(seen.task_id, seen.name)] = container_id
            self._follow(seen, inspected)
            if seen.status is ContainerStatus.EXITED:
                await self._last_lines(container_id)
            if self._known.get(container_id) != seen:
                self._known[container_id] = seen
                self._observe(seen)

    def _see_pause(self, seen: Observation) -> None:
        if seen.status is ContainerStatus.RUNNING and seen.address:
            self._pauses[seen.task_id] = seen.address
        else:
            self._pauses.pop(seen.task_id, None)

    def _follow(self, seen: Observation, inspected: Json) -> None:

        driver = inspected["HostConfig"]["LogConfig"]["Type"]
        begun = seen.runtime_id in self._followers or seen.status is ContainerStatus.CREATED
        if begun or driver not in docker_spec.READABLE:
            return
        follower = Follower(
            self._docker,
            seen.runtime_id,
            seen.task_id,
            seen.name,
            inspected["Config"]["Tty"],
            self._positions,
            self._sink,
        )
        following = asyncio.create_task(follower.run())
        following.add_done_callback(_report)
        self._followers[seen.runtime_id] = following

    async def _last_lines(self, container_id: str) -> None:
        follower = self._followers.get(container_id)
        if follower is not None:
            await asyncio.wait({follower}, timeout=_DRAIN_S)


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        going = error.status == 409 and "in progress" in error.message
        if error.status != 404 and not going:
            raise


@contextlib.contextmanager
def _failing_with(code: str) -> Iterator[None]:
    """Turn what Docker, or its absence, says into a RuntimeFailure."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise RuntimeFailure(code, docker_images.daemon_said(error.message)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise RuntimeFailure(code, f"cannot reach the Docker Engine: {error}") from error


def _report(work: asyncio.Task[None]) -> None:
    if not work.cancelled() and work.exception() is not None:
        log.error("work on a container failed", exc_info=work.exception())


def _unreachable(error: Exception) -> EngineError:
    return EngineError(
        f"cannot reach the Docker Engine: {error}",
        hint="is dockerd running, and may this user use its socket (group docker)?",
    )
