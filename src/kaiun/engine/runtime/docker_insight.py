"""What the task metadata endpoint tells of containers and only Docker knows."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaiun.engine.runtime.base import PAUSE
from kaiun.engine.runtime.docker_client import gone_is_fine
from kaiun.engine.runtime.docker_state import seconds

if TYPE_CHECKING:
    import aiodocker

    from kaiun.engine.runtime.docker_watch import Watcher

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network that a container is on; `subnet` as "172.18.0.0/16"."""

    address: str
    mac_address: str
    subnet: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Facts:
    """One container; `volumes` are (name or "", path of this machine, path inside)."""

    docker_id: str
    docker_name: str
    image_id: str
    labels: Mapping[str, str]
    created_at: float | None
    interfaces: tuple[Interface, ...]
    volumes: tuple[tuple[str, str, str], ...]


async def facts(docker: aiodocker.Docker, watcher: Watcher, task_id: str) -> dict[str, Facts]:
    """Return the facts of a task's containers by name."""
    ids = await _ids(watcher, task_id)
    shown = await asyncio.gather(*(_show(docker, i) for i in ids.values()))
    found = dict(zip(ids, shown, strict=True))
    shared = _interfaces(found.pop(PAUSE, {}))
    return {name: _facts(container, shared) for name, container in found.items() if container}


async def stats(docker: aiodocker.Docker, watcher: Watcher, task_id: str) -> dict[str, Json]:
    """Return Docker's statistics by container; that takes it a second.

    Those of the network are its own or, where a task has one for all, that one's.
    """
    ids = await _ids(watcher, task_id)
    told = await asyncio.gather(*(_stats(docker, i) for i in ids.values()))
    found = dict(zip(ids, told, strict=True))
    shared = found.pop(PAUSE, {}).get("networks")
    return {
        name: own if "networks" in own or not shared else {**own, "networks": shared}
        for name, own in found.items()
    }


async def _ids(watcher: Watcher, task_id: str) -> dict[str, str]:
    listed = await watcher.containers(f"kaiun.task={task_id}")
    return {c["Labels"]["kaiun.container"]: str(c["Id"]) for c in listed}


async def _show(docker: aiodocker.Docker, container_id: str) -> Json:
    return await _asked(docker, f"containers/{container_id}/json", {})


async def _stats(docker: aiodocker.Docker, container_id: str) -> Json:
    return await _asked(docker, f"containers/{container_id}/stats", {"stream": "false"})


async def _asked(docker: aiodocker.Docker, path: str, params: dict[str, str]) -> Json:
    """Return {} for a container that has gone."""
    found: list[Json] = []
    with gone_is_fine():
        found.append(await docker._query_json(path, params=params))
    return found[0] if found else {}


def _facts(container: Json, shared: tuple[Interface, ...]) -> Facts:
    labels: Mapping[str, str] = container["Config"]["Labels"]
    return Facts(
        docker_id=container["Id"],
        docker_name=container["Name"].removeprefix("/"),
        image_id=container["Image"],
        labels={name: value for name, value in labels.items() if not name.startswith("kaiun.")},
        created_at=seconds(container["Created"]),
        interfaces=_interfaces(container) or shared,
        volumes=tuple(
            (mount.get("Name", ""), mount["Source"], mount["Destination"])
            for mount in container["Mounts"]
        ),
    )


def _interfaces(container: Json) -> tuple[Interface, ...]:
    networks: Mapping[str, Json] = container.get("NetworkSettings", {}).get("Networks") or {}
    return tuple(
        Interface(
            address=network["IPAddress"],
            mac_address=network["MacAddress"],
            subnet=str(
                ipaddress.ip_interface(f"{network['IPAddress']}/{network['IPPrefixLen']}").network
            ),
            gateway=network["Gateway"],
        )
        for network in networks.values()
        if network.get("IPAddress")
    )
