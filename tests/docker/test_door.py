"""The door's program, of every architecture: it listens, hands that over, and does so again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.containers import docker

from kaiun.engine.runtime import docker_elf
from kaiun.engine.runtime.docker_pause import DOOR_FOLDER, DOOR_SOCKET, programs

pytestmark = pytest.mark.docker

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
QEMU = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
Run = Callable[[str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[socket.socket]:
    """Our end of the Unix socket, in a folder that containers can mount."""
    with socket.socket(socket.AF_UNIX) as heard:
        heard.settimeout(20)
        heard.bind(str(tmp_path / DOOR_SOCKET))
        heard.listen()
        yield heard


@pytest.fixture
def start(tmp_path: Path, image: str) -> Iterator[Run]:
    """Start a door of an architecture, under QEMU where it is not this machine's."""
    name = f"kaiun-test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", name)

    def run(architecture: str) -> None:
        program = tmp_path / "program"
        program.write_bytes(programs(architecture)["door"])
        program.chmod(0o755)
        command, mounts = [f"{DOOR_FOLDER}/program"], [f"{tmp_path}:{DOOR_FOLDER}"]
        if MACHINES.get(os.uname().machine) != architecture:
            emulator = shutil.which(QEMU[architecture])
            if emulator is None:
                pytest.skip(f"no {QEMU[architecture]}: apt-get install qemu-user-static")
            command, mounts = ["/qemu", *command], [*mounts, f"{emulator}:/qemu:ro"]
        docker(
            "run", "--detach", "--name", name, "--network", name,
            "--link-local-ip", "169.254.170.2",
            *(word for mount in mounts for word in ("--volume", mount)),
            "--entrypoint", command[0], image, *command[1:],
        )  # fmt: skip

    yield run
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
    docker("network", "rm", name)


def handed(heard: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Return the connection of a door and the socket that it hands over."""
    visitor, _ = heard.accept()
    visitor.settimeout(20)
    _, (descriptor,), _, _ = socket.recv_fds(visitor, 1, 1)
    return visitor, socket.socket(fileno=descriptor)


@pytest.mark.parametrize("architecture", docker_elf.architectures())
def test_door_hands_over_its_listening_socket_again_and_again(
    folder: socket.socket, start: Run, architecture: str
) -> None:
    start(architecture)
    for _ in range(2):  # the second time, as to an engine that has come back
        visitor, listener = handed(folder)
        with visitor, listener:
            assert listener.getsockname() == ("169.254.170.2", 80)
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
