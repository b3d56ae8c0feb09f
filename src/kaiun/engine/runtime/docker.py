"""Tasks as containers of the Docker Engine.

One bridge network for each engine, and every task on it. A container can have one name only,
made of the task and its own, so that a second start finds the first. Starting one is create,
start and one inspect: what `docker run` does, and no more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiodocker

from kaiun.engine.runtime import docker_exec, docker_insight, docker_spec, docker_state
from kaiun.engine.runtime.base import (
    PAUSE,
    ContainerSpec,
    ContainerStatus,
    Execution,
    NetworkMode,
    Observation,
    Observe,
    RuntimeFailure,
    Sink,
    TaskSpec,
    Usage,
)
from kaiun.engine.runtime.docker_addresses import LinkLocal
from kaiun.engine.runtime.docker_client import (
    UNREACHABLE,
    Client,
    failing_with,
    gone_is_fine,
    stream,
)
from kaiun.engine.runtime.docker_door import Admit, Door
from kaiun.engine.runtime.docker_ground import Ground
from kaiun.engine.runtime.docker_insight import Facts
from kaiun.engine.runtime.docker_logs import Positions
from kaiun.engine.runtime.docker_watch import Watcher
from kaiun.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from kaiun.engine.runtime.docker_ground import Login

Json = dict[str, Any]


class DockerRuntime:
    """See kaiun.engine.runtime.base.Runtime. `home` keeps the positions in the logs.

    With `positions_on_request` they are written only by `lines_kept`: for a caller that stores
    lines in batches, so that a crash neither loses lines nor brings them twice.
    """

    def __init__(
        self,
        engine_id: str,
        home: Path,
        *,
        docker_host: str | None = None,
        positions_on_request: bool = False,
        login: Login | None = None,
        admit: Admit | None = None,
    ) -> None:
        self._engine_id = engine_id
        self._host = docker_host
        self._login = login
        self._positions = Positions(home / "log-positions", at_once=not positions_on_request)
        self._locks: dict[str, dict[str, asyncio.Lock]] = {}  # by task and container
        self._client: Client | None = None
        self._home = home
        self._admit = admit
        self._door: Door | None = None
        self._link_local = LinkLocal()

    async def open(self, observe: Observe, sink: Sink) -> None:
        self._positions.open()
        self._client = client = Client(self._host)
        self._docker = client.api
        self._ground = Ground(self._docker, self._engine_id, self._login)
        self._watcher = Watcher(self._docker, self._engine_id, self._positions, observe, sink)
        try:
            await self._watcher.open()
            for there in await self._watcher.containers():
                self._link_local.note(there["Labels"])
            if self._admit is not None:
                self._door = Door(
                    client.api, self._engine_id, self._ground, self._home, self._admit
                )
                await self._door.open()
        except EngineError:
            await self.close()
            raise

    def lines_kept(self) -> None:
        """All lines that the sink was given until now are safe: a next engine goes on there."""
        self._positions.write()

    def hear(self) -> None:
        """Nothing: what happens is told by Docker as it happens."""

    async def prepare(self, task: TaskSpec) -> None:
        images = {spec.image: spec.login for spec in task.containers}
        pulls = (self._ground.image(image, login) for image, login in images.items())
        await asyncio.gather(self._ensure_ground(), *pulls)
        await self._ensure_namespace(task)

    async def start(self, task: TaskSpec, name: str) -> Observation:
        await self._ensure_ground()
        await self._ensure_namespace(task)
        spec = next(spec for spec in task.containers if spec.name == name)
        container_id = await self._create(task, spec)
        return await self._observed(container_id, name, self._start_once(container_id))

    async def restart(self, task: TaskSpec, name: str) -> Observation:
        container_id = await self._find(task.task_id, name)
        if container_id is None:
            raise RuntimeFailure("CannotStartContainerError", f"{name} has been removed")
        container = self._docker.containers.container(container_id)
        return await self._observed(container_id, name, container.start())

    async def _observed(
        self, container_id: str, name: str, starting: Coroutine[Any, Any, None]
    ) -> Observation:
        """Wait for a start, and return what is true of the container then."""
        self._watcher.own.add(container_id)
        try:
            with failing_with("CannotStartContainerError"):
                await starting
                await self._watcher.refresh(container_id)
        finally:
            self._watcher.own.discard(container_id)
        known = self._watcher.known.get(container_id)
        if known is None:
            raise RuntimeFailure("CannotStartContainerError", f"{name} was removed as it started")
        return known

    async def stop(self, task_id: str, name: str, timeout_s: int) -> None:
        container_id = await self._find(task_id, name)
        if container_id is not None:
            with gone_is_fine():
                await self._docker.containers.container(container_id).stop(t=timeout_s)

    async def execute(self, task_id: str, name: str, command: Sequence[str]) -> Execution:
        container_id = await self._find(task_id, name)
        if container_id is None:
            raise RuntimeFailure("CannotExecuteError", f"there is no container {name}")
        return await docker_exec.execute(self._docker, container_id, command)

    async def hang_up(self, execution_id: str) -> None:
        await docker_exec.hang_up(self._docker, execution_id)

    async def remove(self, task_id: str) -> None:
        listed = await self._watcher.containers(f"kaiun.task={task_id}")
        await asyncio.gather(*(self._remove(container["Id"]) for container in listed))
        if any(docker_spec.OWN_VOLUMES in container["Labels"] for container in listed):
            await self._ground.remove_volumes_of(task_id)
        self._watcher.addresses.pop(task_id, None)
        self._link_local.release(task_id)
        self._locks.pop(task_id, None)

    async def tasks(self) -> set[str]:
        return {c["Labels"]["kaiun.task"] for c in await self._watcher.containers()}

    async def facts(self, task_id: str) -> dict[str, Facts]:
        """Return what the metadata endpoint tells of a task's containers, by name."""
        with failing_with("CannotInspectContainerError"):
            return await docker_insight.facts(self._docker, self._watcher, task_id)

    async def stats(self, task_id: str) -> dict[str, Json]:
        """Return Docker's statistics of a task's containers, by name."""
        with failing_with("CannotInspectContainerError"):
            return await docker_insight.stats(self._docker, self._watcher, task_id)

    async def purge(self) -> None:
        """Remove every container of this engine, its named volumes and its network."""
        listed = await self._watcher.containers()
        await asyncio.gather(*(self._remove(container["Id"]) for container in listed))
        self._watcher.addresses.clear()
        self._link_local = LinkLocal()
        await self._remove_door()
        await self._ground.clear()

    async def rest(self) -> None:
        if not await self._watcher.containers():
            await self._remove_door()
            await self._ground.remove_network()

    async def _remove_door(self) -> None:
        if self._door is not None:
            await self._door.remove()

    async def close(self) -> None:
        if self._door is not None:
            await self._door.close()
        if self._client is not None:
            await self._watcher.close()
            await self._client.close()

    async def usage(self, container_id: str) -> Usage | None:
        """Return what a running container uses; None where that cannot be known."""
        path, asked = f"containers/{container_id}/stats", {"stream": "false", "one-shot": "true"}
        try:
            async with stream(self._docker, path, asked) as answer:
                return docker_state.usage(await answer.json())
        except UNREACHABLE:
            return None

    async def _ensure_ground(self) -> None:
        """Have what all tasks stand on: the network, and the door in it."""
        await self._ground.network()
        if self._door is not None:
            await self._door.ensure()

    def _own_link_local(self, task: TaskSpec, name: str) -> str | None:
        """Return a container's address toward the door, None where there is none."""
        return None if self._door is None else self._link_local.claim(task.task_id, name)

    async def _ensure_namespace(self, task: TaskSpec) -> None:
        """Have the namespaces that a task's containers share, and an awsvpc task's address."""
        known = self._watcher.addresses
        if not docker_spec.needs_pause(task) or task.task_id in known:
            return
        async with self._lock(task, PAUSE):
            if task.task_id not in known:
                known[task.task_id] = await self._make_namespace(task)

    async def _make_namespace(self, task: TaskSpec) -> str:
        code = "ResourceInitializationError"
        with failing_with(code):
            image = await self._ground.pause_image()
            link_local = self._own_link_local(task, PAUSE)
            config = docker_spec.pause(self._engine_id, task, image, link_local)
            name = docker_spec.container_name(task, PAUSE)
            made = await self._create_once(config, name)
            container = self._docker.containers.container(made)
            await container.start()
            inspected = await container.show()
        address = docker_state.observation(inspected).address or ""
        addressed = address or task.network_mode is not NetworkMode.AWSVPC
        if not inspected["State"]["Running"] or not addressed:
            raise RuntimeFailure(code, "the task's namespaces have ended")
        return address

    async def _create(self, task: TaskSpec, spec: ContainerSpec) -> str:
        for source in spec.volumes_from:  # it must be there, though it need not run
            await self._create(task, next(c for c in task.containers if c.name == source.container))
        async with self._lock(task, spec.name):
            return await self._make(task, spec)

    def _lock(self, task: TaskSpec, name: str) -> asyncio.Lock:
        return self._locks.setdefault(task.task_id, {}).setdefault(name, asyncio.Lock())

    async def _make(self, task: TaskSpec, spec: ContainerSpec) -> str:
        name = docker_spec.container_name(task, spec.name)
        digest = self._ground.digests.get(spec.image)
        link_local = None
        if task.network_mode is NetworkMode.BRIDGE:
            link_local = self._own_link_local(task, spec.name)
        config = docker_spec.container(self._engine_id, task, spec, digest, link_local)
        with failing_with("CannotCreateContainerError"):
            try:
                return await self._create_once(config, name)
            except aiodocker.DockerError as error:
                if error.status != 404 or "image" not in error.message.lower():
                    raise
            await self._ground.image(spec.image, spec.login)
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

    async def _start_once(self, container_id: str) -> None:
        """Start unless it has run before: a task's container runs once."""
        known = self._watcher.known.get(container_id)
        if known is None or known.status is ContainerStatus.CREATED:
            try:
                await self._docker.containers.container(container_id).start()
            except aiodocker.DockerError as error:
                if "network" in error.message:
                    self._ground.doubt_network()
                raise

    async def _remove(self, container_id: str) -> None:
        """Remove; it stays our own until its events have come, which may be later than this."""
        self._watcher.own.add(container_id)
        known = self._watcher.known.get(container_id)
        if known is not None and known.status is ContainerStatus.EXITED:
            await self._watcher.last_lines(container_id)
        with gone_is_fine():
            await self._docker.containers.container(container_id).delete(force=True, v=True)
        self._watcher.forget(container_id)

    async def _find(self, task_id: str, name: str) -> str | None:
        known = self._watcher.ids.get((task_id, name))
        if known is not None:
            return known
        marks = (f"kaiun.task={task_id}", f"kaiun.container={name}")
        listed = await self._watcher.containers(*marks)
        return str(listed[0]["Id"]) if listed else None
