"""What the containers of one engine stand on: network, images, named volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kaiun.engine.runtime import docker_images, docker_volumes
from kaiun.engine.runtime.docker_client import failing_with, gone_is_fine

if TYPE_CHECKING:
    import aiodocker


Login = Callable[[str], tuple[str, str] | None]  # a registry's host → our own user and password


def _no_login(_registry: str) -> None:
    return None


class Ground:
    """Made when first needed; `clear` removes the network and the volumes."""

    def __init__(
        self, docker: aiodocker.Docker, engine_id: str, own_login: Login | None = None
    ) -> None:
        self._docker = docker
        self._own_login = own_login or _no_login
        self._engine_id = engine_id
        self._lock = asyncio.Lock()
        self._has_network = False
        self._pause_image: str | None = None
        self.digests: dict[str, str | None] = {}  # image reference → repository digest

    async def network(self) -> None:
        async with self._lock:
            if not self._has_network:
                with failing_with("ResourceInitializationError"):
                    await self._make_network(docker_volumes.network_name(self._engine_id))
                self._has_network = True

    async def _make_network(self, name: str) -> None:
        if not await self._docker.networks.list(filters={"name": f"^{name}$"}):
            marks = {"kaiun.engine": self._engine_id}
            config = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": marks}
            await self._docker.networks.create(config)

    def doubt_network(self) -> None:
        """Somebody may have removed it: look again before the next container."""
        self._has_network = False

    async def image(self, image: str, login: tuple[str, str] | None = None) -> None:
        """Raises RuntimeFailure (CannotPullContainerError)."""
        login = login or self._own_login(docker_images.registry_of(image) or "")
        self.digests[image] = await docker_images.ensure(self._docker, image, login)

    async def pause_image(self) -> str:
        async with self._lock:
            if self._pause_image is None:
                self._pause_image = await docker_images.ensure_pause(self._docker)
            return self._pause_image

    async def remove_network(self) -> None:
        self._has_network = False
        with gone_is_fine():
            network = await self._docker.networks.get(docker_volumes.network_name(self._engine_id))
            await network.delete()

    async def remove_volumes_of(self, task_id: str) -> None:
        """Remove the volumes that go with a task."""
        await self._remove_volumes(docker_volumes.of_task(self._engine_id, task_id))

    async def clear(self) -> None:
        await self.remove_network()
        await self._remove_volumes(docker_volumes.volume_name(self._engine_id, ""))

    async def _remove_volumes(self, prefix: str) -> None:
        volumes: Any = self._docker.volumes  # which aiodocker leaves untyped
        listed = await volumes.list(filters={"name": [prefix]})  # any part of the name
        for name in (volume["Name"] for volume in listed["Volumes"] or ()):
            if name.startswith(prefix):
                with gone_is_fine():
                    await (await volumes.get(name)).delete()
