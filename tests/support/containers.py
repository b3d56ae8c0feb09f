"""Real containers for tests: a base image made on the spot, and an engine's side of the runtime.

The image holds one file, BusyBox, linked statically: Debian's package busybox-static. Its
directories are filled with BusyBox's applets by name.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kaiun.engine.runtime.base import (
    ContainerSpec,
    ContainerStatus,
    LogLine,
    NetworkMode,
    Observation,
    TaskSpec,
)
from kaiun.engine.runtime.docker import DockerRuntime

IMAGE = "kaiun-test-busybox:1"


def docker(*arguments: str, data: bytes | None = None) -> str:
    """Run the Docker client; raise with what it said unless it succeeds."""
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout.decode().strip()


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise AssertionError("no BusyBox to make the test image of: install busybox-static")
    return Path(found)


def make_image() -> str:
    """Return the reference of an image with BusyBox, known to this Docker Engine only."""
    if not docker("images", "-q", IMAGE):
        path = "ENV PATH=/bin:/sbin:/usr/bin:/usr/sbin"
        docker("import", "--change", path, "-", IMAGE, data=_root_file_system(_busybox()))
    return IMAGE


def clean(engine_id: str) -> None:
    """Remove all containers and networks of one engine, by label."""
    label = f"label=kaiun.engine={engine_id}"
    containers = docker("container", "ls", "-aq", "--filter", label).split()
    if containers:
        docker("container", "rm", "-fv", *containers)
    networks = docker("network", "ls", "-q", "--filter", label).split()
    if networks:
        docker("network", "rm", *networks)


def _root_file_system(busybox: Path) -> bytes:
    applets = subprocess.run([busybox, "--list-full"], capture_output=True, check=True).stdout
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox.resolve(), "bin/busybox")
        for directory in ("tmp", "www", "etc"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        for applet in applets.decode().split():
            if applet != "bin/busybox":
                link = tarfile.TarInfo(applet)
                link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
                tar.addfile(link)
    return buffer.getvalue()


@dataclass
class Harness:
    """An engine's side of the runtime: keeps what it is told, and waits for it."""

    engine_id: str
    home: Path
    image: str
    seen: list[Observation] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    runtime: DockerRuntime = field(init=False)

    async def open(self) -> DockerRuntime:
        self.runtime = DockerRuntime(self.engine_id, self.home)
        await self.runtime.open(self.seen.append, self.lines.append)
        return self.runtime

    def last(self, name: str, task_id: str | None = None) -> Observation | None:
        return next(
            (o for o in reversed(self.seen) if o.name == name and task_id in {None, o.task_id}),
            None,
        )

    async def exited(self, name: str) -> Observation:
        def over() -> Observation | None:
            last = self.last(name)
            return last if last and last.status is ContainerStatus.EXITED else None

        return await until(over)

    def task(self, *containers: ContainerSpec, **changes: object) -> TaskSpec:
        task_id = uuid.uuid4().hex
        values: dict[str, object] = {
            "task_id": task_id,
            "task_arn": f"arn:aws:ecs:us-east-1:000000000000:task/test/{task_id}",
            "cluster": "test",
            "family": "fam",
            "revision": 1,
            "network_mode": NetworkMode.BRIDGE,
            "containers": containers,
        }
        return TaskSpec(**{**values, **changes})  # type: ignore[arg-type]

    def shell(self, script: str, name: str = "app", **changes: object) -> ContainerSpec:
        values: dict[str, object] = {
            "name": name,
            "image": self.image,
            "entry_point": ("sh", "-c"),
            "command": (script,),
        }
        return ContainerSpec(**{**values, **changes})  # type: ignore[arg-type]

    async def up(self, task: TaskSpec) -> Observation:
        """Prepare the task and start all its containers; return the last one's observation."""
        await self.runtime.prepare(task)
        for spec in task.containers:
            observation = await self.runtime.start(task, spec.name)
        return observation


T = TypeVar("T")


async def until(probe: Callable[[], T | None], timeout_s: float = 15) -> T:
    """Return what `probe` returns once it is something."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = probe()
            if found:
                return found
            await asyncio.sleep(0.01)
