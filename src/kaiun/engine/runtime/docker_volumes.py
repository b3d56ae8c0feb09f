"""Mounts in the words of the Docker Engine API: who has a volume is in its name (pure)."""

from __future__ import annotations

from typing import Any

from kaiun.engine.runtime.base import ContainerSpec, Mount, TaskSpec

Json = dict[str, Any]


def network_name(engine_id: str) -> str:
    """Return the name of an engine's network, with which those of its volumes begin."""
    return f"kaiun-{engine_id[:8]}"


def volume_name(engine_id: str, name: str) -> str:
    """Return the Docker volume of a named volume: each engine has its own, or two engines would
    let two servers write to one data directory."""
    return f"{network_name(engine_id)}-{name}"


def of_task(engine_id: str, task_id: str) -> str:
    """Return how the names of the volumes begin that go with a task."""
    return volume_name(engine_id, f"task-{task_id}-")


def mounts(engine_id: str, task: TaskSpec, spec: ContainerSpec) -> Json:
    """Return the part of HostConfig. A path is a bind, for that makes a missing directory."""
    volumes = [m for m in spec.mounts if not m.source.startswith("/")]
    return {
        "Binds": [_bind(m) for m in spec.mounts if m.source.startswith("/")],
        "Mounts": [_volume(engine_id, task, m) for m in volumes],
    }


def _bind(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"


def _volume(engine_id: str, task: TaskSpec, mount: Mount) -> Json:
    own = of_task(engine_id, task.task_id) + mount.source
    options: Json = {"Labels": dict(mount.labels)}
    if mount.options:
        options["DriverConfig"] = {"Name": "local", "Options": dict(mount.options)}
    return {
        "Type": "volume",
        "Source": own if mount.of_task else volume_name(engine_id, mount.source),
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "VolumeOptions": options,
    }
