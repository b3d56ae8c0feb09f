"""Know every container of one engine: look once, follow the events, and follow the logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaiun.engine.runtime import docker_spec, docker_state
from kaiun.engine.runtime.base import (
    PAUSE,
    ContainerStatus,
    NetworkMode,
    Observation,
    Observe,
    Sink,
)
from kaiun.engine.runtime.docker_client import UNREACHABLE, stream, unreachable
from kaiun.engine.runtime.docker_logs import Follower, Positions

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import aiodocker
    import aiohttp

Json = dict[str, Any]

log = logging.getLogger(__name__)

_LAST_LINES_S: Final = 2.0  # how long an exit waits for the container's last lines
_RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_AT_ONCE: Final = 16  # inspections at the same time


class _Reading(NamedTuple):
    """The log of a container is read: of which run, by its start."""

    run: float | None
    task: asyncio.Task[None]


class Watcher:
    """`known` by container id, `ids` by (task id, name), `addresses` of shared namespaces by task
    id. Containers in `own` are being started or removed by the runtime itself."""

    def __init__(
        self,
        docker: aiodocker.Docker,
        engine_id: str,
        positions: Positions,
        observe: Observe,
        sink: Sink,
    ) -> None:
        self._docker = docker
        self._engine_id = engine_id
        self._positions = positions
        self._observe = observe
        self._sink = sink
        self.known: dict[str, Observation] = {}
        self.ids: dict[tuple[str, str], str] = {}
        self.addresses: dict[str, str] = {}
        self.own: set[str] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}
        self._followers: dict[str, _Reading] = {}
        self._work: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Return when everything was looked at. Raises EngineError when Docker does not answer."""
        looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spawn(self._watch(looked))
        await looked

    async def close(self) -> None:
        background = [*(each.task for each in self._followers.values()), *self._work]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._followers.clear()

    async def containers(self, *marks: str) -> list[Json]:
        """List the containers of this engine's tasks that have all the labels."""
        filters = {"label": [f"kaiun.engine={self._engine_id}", "kaiun.task", *marks]}
        params: dict[str, str | int] = {"all": 1, "filters": json.dumps(filters)}
        listed: list[Json] = await self._docker._query_json("containers/json", params=params)
        return listed

    async def refresh(self, container_id: str) -> None:
        """Inspect, and tell what is new. One at a time for each container, so in order."""
        async with self._locks.setdefault(container_id, asyncio.Lock()):
            async with self._gate:
                inspected = await self._docker.containers.container(container_id).show()
            task_id = inspected["Config"]["Labels"]["kaiun.task"]
            seen = docker_state.observation(inspected, self.addresses.get(task_id) or None)
            if seen.name == PAUSE:
                self._see_pause(seen)
                return
            self.ids[(seen.task_id, seen.name)] = container_id
            self._follow(seen, inspected)
            if seen.status is ContainerStatus.EXITED:
                await self.last_lines(container_id)
            if self.known.get(container_id) != seen:
                self.known[container_id] = seen
                self._observe(seen)

    async def last_lines(self, container_id: str) -> None:
        """Wait until all that a stopped container wrote was handed over, within reason."""
        follower = self._followers.get(container_id)
        if follower is not None:
            await asyncio.wait({follower.task}, timeout=_LAST_LINES_S)

    def forget(self, container_id: str) -> Observation | None:
        known = self.known.pop(container_id, None)
        if known is not None and self.ids.get((known.task_id, known.name)) == container_id:
            del self.ids[(known.task_id, known.name)]
        self._locks.pop(container_id, None)
        follower = self._followers.pop(container_id, None)
        if follower is not None:
            follower.task.cancel()
        self._positions.forget(container_id)
        return known

    async def _watch(self, looked: asyncio.Future[None]) -> None:
        """Follow the events for ever; after each (re)connection look at everything once."""
        failures = 0
        while True:
            try:
                async with self._events() as events:
                    await self._look()
                    failures = 0
                    if not looked.done():
                        looked.set_result(None)
                    async for line in events.content:
                        self._on_event(json.loads(line))
            except UNREACHABLE as error:
                if not looked.done():
                    looked.set_exception(unreachable(error))
                    return
            await asyncio.sleep(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])
            failures += 1

    def _events(self) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        filters = {
            "type": ["container"],
            "label": [f"kaiun.engine={self._engine_id}", "kaiun.task"],
            "event": ["start", "die", "oom", "health_status", "destroy"],
        }
        return stream(self._docker, "events", {"filters": json.dumps(filters)})

    async def _look(self) -> None:
        """Look at all containers; at those that hold a task's address first."""
        found = await self.containers()
        listed = {c["Id"]: c["Labels"]["kaiun.container"] for c in found}
        for container_id in (set(self.known) | self.own) - set(listed):
            self._vanish(container_id)
        self._positions.keep_only(set(listed))
        pauses = {i for i, name in listed.items() if name == PAUSE}
        await asyncio.gather(*map(self._refresh_quietly, pauses))
        await asyncio.gather(*map(self._refresh_quietly, set(listed) - pauses))
        for task_id in _without_pause([container["Labels"] for container in found]):
            self._observe(Observation(task_id, PAUSE, "", ContainerStatus.GONE))

    def _on_event(self, event: Json) -> None:
        container_id, action = event["Actor"]["ID"], event["Action"]
        if action == "destroy":
            self._vanish(container_id)
        elif not (action == "start" and container_id in self.own):
            self._spawn(self._refresh_quietly(container_id))

    def _vanish(self, container_id: str) -> None:
        """Forget a container; tell that it is gone unless we removed it ourselves."""
        known = self.forget(container_id)
        if known is not None and known.name == PAUSE:
            self.addresses.pop(known.task_id, None)
        if container_id in self.own:
            self.own.discard(container_id)
        elif known is not None:
            self._observe(replace(known, status=ContainerStatus.GONE))

    async def _refresh_quietly(self, container_id: str) -> None:
        with contextlib.suppress(*UNREACHABLE):
            await self.refresh(container_id)
        if container_id not in self.known:  # removed since
            self._locks.pop(container_id, None)

    def _see_pause(self, seen: Observation) -> None:
        if seen.status is ContainerStatus.RUNNING:
            self.addresses[seen.task_id] = seen.address or ""
        else:
            self.addresses.pop(seen.task_id, None)
        self.known[seen.runtime_id] = seen
        if seen.status is ContainerStatus.EXITED and seen.runtime_id not in self.own:
            self._observe(seen)

    def _follow(self, seen: Observation, inspected: Json) -> None:
        """Read a container's log; again where it was started again, and may have ended since."""
        driver = inspected["HostConfig"]["LogConfig"]["Type"]
        if seen.status is ContainerStatus.CREATED or driver not in docker_spec.READABLE:
            return
        last = self._followers.get(seen.runtime_id)
        if last and not (last.task.done() and last.run != seen.started_at):
            return
        tty = inspected["Config"]["Tty"]
        reading = Follower(self._docker, seen, tty, self._positions, self._sink).run()
        self._followers[seen.runtime_id] = _Reading(seen.started_at, self._spawn(reading))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work on a container failed", exc_info=task.exception())


def _without_pause(marks: list[dict[str, str]]) -> set[str]:
    """Return the tasks whose containers share a network namespace that nobody holds any more."""
    held = {m["kaiun.task"] for m in marks if m["kaiun.container"] == PAUSE}
    return {m["kaiun.task"] for m in marks if m["kaiun.network-mode"] == NetworkMode.AWSVPC} - held
