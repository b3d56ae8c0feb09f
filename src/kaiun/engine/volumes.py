"""Volumes of a task definition, as mounts of its containers.

Source: ECS API, Volume, HostVolumeProperties ("If the host parameter is empty, then the Docker
daemon assigns a host path […], but the data isn't guaranteed to persist after the containers […]
stop running"), DockerVolumeConfiguration.scope.
"""

from __future__ import annotations

from typing import Any

from kaiun.engine.runtime.base import Mount
from kaiun.engine.store import Doc

_PLUGINS = ("efsVolumeConfiguration", "fsxWindowsFileServerVolumeConfiguration")


def mounts(container: Doc, definition: Doc) -> tuple[Mount, ...]:
    """Return the mount points of one container of a task definition."""
    volumes = {v["name"]: v for v in definition["volumes"]}
    return tuple(
        _mount(point, volumes[point["sourceVolume"]]) for point in container["mountPoints"]
    )


def _mount(point: Doc, volume: Doc) -> Mount:
    place, read_only = point["containerPath"], point.get("readOnly", False)
    if path := volume.get("host", {}).get("sourcePath"):
        return Mount(path, place, read_only)
    return Mount(volume["name"], place, read_only, **_managed(volume))


def _managed(volume: Doc) -> dict[str, Any]:
    """Return whose a volume without a path is, and how it is to be made."""
    if "dockerVolumeConfiguration" not in volume:
        return {"of_task": not any(plugin in volume for plugin in _PLUGINS)}
    config = volume["dockerVolumeConfiguration"]
    local = config.get("driver", "local") == "local"
    return {
        "of_task": config.get("scope", "task") == "task",
        "options": config.get("driverOpts", {}) if local else {},
        "labels": config.get("labels", {}),
    }
