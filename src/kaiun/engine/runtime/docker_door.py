"""The door of the task metadata endpoint: a container at 169.254.170.2 in the engine's network.

Its one program (docker_pause) listens there and hands the listening socket over a Unix socket,
whose folder is mounted. So the engine itself accepts what tasks send: nothing is forwarded, nothing
listens on an address of this machine, and no other machine, nor the tasks of another engine, can
reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiodocker

from kaiun.engine.runtime import docker_volumes
from kaiun.engine.runtime.base import DOOR_ADDRESS, RuntimeFailure
from kaiun.engine.runtime.docker_addresses import INSTANCE_METADATA
from kaiun.engine.runtime.docker_client import failing_with, gone_is_fine
from kaiun.engine.runtime.docker_pause import DOOR_FOLDER, DOOR_SOCKET

if TYPE_CHECKING:
    from kaiun.engine.runtime.docker_ground import Ground

log = logging.getLogger(__name__)

Json = dict[str, Any]
Admit = Callable[[socket.socket], Awaitable[asyncio.AbstractServer]]

_FOLDER: Final = "door"
_AGAIN_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def container_name(engine_id: str) -> str:
    return f"{docker_volumes.network_name(engine_id)}-door"


def request(engine_id: str, image: str, folder: Path) -> Json:
    """Return the request that creates the container (pure)."""
    network = docker_volumes.network_name(engine_id)
    addresses = {"LinkLocalIPs": [DOOR_ADDRESS, INSTANCE_METADATA]}
    return {
        "Image": image,
        "Entrypoint": ["/door"],
        "Labels": {"kaiun.engine": engine_id},
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "NetworkMode": network,
            "LogConfig": {"Type": "none"},
            "Binds": [f"{folder}:{DOOR_FOLDER}"],
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "CapAdd": ["DAC_OVERRIDE", "NET_BIND_SERVICE"],  # the folder is the user's alone
            "SecurityOpt": ["no-new-privileges", "label=disable"],
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"IPAMConfig": addresses}}},
    }


class Door:
    """Our end of it. `admit` serves a listening socket."""

    def __init__(
        self, docker: aiodocker.Docker, engine_id: str, ground: Ground, home: Path, admit: Admit
    ) -> None:
        self._docker = docker
        self._engine_id = engine_id
        self._ground = ground
        self._folder = home / _FOLDER
        self._admit = admit
        self._lock = asyncio.Lock()
        self._is_there = False
        self._heard: socket.socket | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Wait for the door of this engine, also for one that an earlier process left."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        heard.setblocking(False)
        (self._folder / DOOR_SOCKET).unlink(missing_ok=True)
        descriptor = os.open(self._folder, os.O_PATH)
        try:  # by the folder's descriptor, for the address of a Unix socket must be short
            heard.bind(f"/proc/self/fd/{descriptor}/{DOOR_SOCKET}")
        finally:
            os.close(descriptor)
        heard.listen()
        self._heard = heard
        asyncio.get_running_loop().add_reader(heard, self._accept, heard)

    async def ensure(self) -> None:
        """Have the container. Where it cannot be had, tasks run without metadata, and the log says
        so. Whoever is cancelled meanwhile leaves it to be made, for Docker would make it anyway."""
        if not self._is_there:
            making = asyncio.create_task(self._ensure())
            self._work.add(making)
            making.add_done_callback(self._work.discard)
            await asyncio.shield(making)

    async def _ensure(self) -> None:
        async with self._lock:
            if self._is_there:
                return
            self._is_there = True
            try:
                with failing_with("ResourceInitializationError"):
                    await self._start()
            except RuntimeFailure as failure:
                log.warning("tasks have no metadata endpoint: %s", failure)

    async def remove(self) -> None:
        async with self._lock:
            self._is_there = False
            await self._remove()

    async def _remove(self) -> None:
        with gone_is_fine():
            container = self._docker.containers.container(container_name(self._engine_id))
            await container.delete(force=True)

    async def close(self) -> None:
        """Let go; the door stays, and waits for the next engine."""
        if self._heard is not None:
            asyncio.get_running_loop().remove_reader(self._heard)
            self._heard.close()
        for visit in self._work:
            visit.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _start(self) -> None:
        image = await self._ground.pause_image()
        name = container_name(self._engine_id)
        container = self._docker.containers.container(name)
        with contextlib.suppress(aiodocker.DockerError):
            inspected = await container.show()
            if inspected["State"]["Running"] and inspected["Config"]["Image"] == image:
                return
            await container.delete(force=True)
        config = request(self._engine_id, image, self._folder)
        await (await self._docker.containers.create(config, name=name)).start()

    def _accept(self, heard: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            visitor, _ = heard.accept()
            visit = asyncio.create_task(self._serve(visitor))
            self._work.add(visit)
            visit.add_done_callback(self._work.discard)

    async def _serve(self, visitor: socket.socket) -> None:
        """Serve the socket that a door brings, until the door is gone."""
        try:
            visitor.setblocking(False)
            listener = await _handed(visitor)
            if listener is None:
                return
            self._is_there = True
            server = await self._admit(listener)
            try:
                await _readable(visitor)
            finally:
                server.close()
        finally:
            visitor.close()
        if self._is_there:  # nobody took it away: it has been killed
            await self._restore()

    async def _restore(self) -> None:
        """Make another door; Docker may not be done with the one that is gone."""
        log.warning("the door of the metadata endpoint is gone, making another")
        for wait_s in _AGAIN_S:
            await asyncio.sleep(wait_s)
            async with self._lock:
                if not self._is_there or await self._made_anew():
                    return
        self._is_there = False  # the next task tries again

    async def _made_anew(self) -> bool:
        try:
            with failing_with("ResourceInitializationError"):
                await self._remove()
                await self._start()
        except RuntimeFailure as failure:
            log.info("the door cannot be made yet: %s", failure)
            return False
        return True


async def _handed(visitor: socket.socket) -> socket.socket | None:
    """Return the socket that comes as a descriptor, None where none comes."""
    await _readable(visitor)
    _, descriptors, _, _ = socket.recv_fds(visitor, 1, 1)
    return socket.socket(fileno=descriptors[0]) if descriptors else None


async def _readable(heard: socket.socket) -> None:
    """Wait until something, or the end, can be read."""
    loop = asyncio.get_running_loop()
    known = asyncio.Event()
    loop.add_reader(heard, known.set)
    try:
        await known.wait()
    finally:
        loop.remove_reader(heard)
