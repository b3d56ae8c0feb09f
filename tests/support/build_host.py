"""A build host for tests: a real sshd on loopback, and a developer's side that has no Docker."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kaiun.image.host.code import environment


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def key(path: Path) -> Path:
    """Make a pair of keys."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@dataclass
class RemoteHost:
    """What a developer needs to reach a host at a port of loopback: keys, an ssh of their own."""

    root: Path
    port: int
    user: str = field(default_factory=getpass.getuser)
    alias: str = "builder.test"

    @property
    def url(self) -> str:
        return f"ssh://{self.alias}"

    def prepare(self) -> None:
        """Write the developer's configuration; the keys `id` and `host_key` are in `root`."""
        public = (self.root / "host_key.pub").read_text()
        (self.root / "known").write_text(f"[127.0.0.1]:{self.port} {public}")
        config = self.root / "ssh_config"
        config.write_text(
            f"Host {self.alias}\n  HostName 127.0.0.1\n  Port {self.port}\n  User {self.user}\n"
            f"  IdentityFile {self.root / 'id'}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.root / 'known'}\n  GlobalKnownHostsFile /dev/null\n"
        )
        programs = self.root / "bin"
        programs.mkdir()
        wrapper = programs / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        wrapper.chmod(0o755)
        for name in ("git", "sh"):
            (programs / name).symlink_to(str(shutil.which(name)))

    def environment(self, **more: str) -> Mapping[str, str]:
        """Return the variables of a developer: git and ssh on PATH, no Docker Engine."""
        return {
            "PATH": str(self.root / "bin"),
            "HOME": str(self.root),
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            "KAIUN_HOME": str(self.root / "developer"),
            "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "error",
            **more,
        }


@dataclass
class BuildHost(RemoteHost):
    """This machine as the host: a home of its own, and a real sshd as a child of the test."""

    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.root / "host"

    def prepare(self) -> None:
        """Make keys and configurations; the virtual environment is the one that tests run in."""
        for name in ("locks", "builds", "work", "venvs", "code"):
            (self.home / name).mkdir(parents=True)
        (self.home / "venvs" / environment()).symlink_to(sys.prefix)
        key(self.root / "host_key")
        own = key(self.root / "id")
        (self.root / "authorized").write_text(own.with_suffix(".pub").read_text())
        self.write_sshd_config()
        RemoteHost.prepare(self)

    def write_sshd_config(self, more: str = "") -> None:
        given = {"KAIUN_HOME": str(self.home), **self.variables}
        variables = " ".join(f'"{name}={value}"' for name, value in given.items())
        (self.root / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.root / 'host_key'}\n"
            f"AuthorizedKeysFile {self.root / 'authorized'}\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin prohibit-password\nSetEnv {variables}\n" + more
        )

    def reload(self) -> None:
        """Make sshd read its configuration again, as another process."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Run sshd in the foreground, as a child of this test."""
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = str(self.root / "sshd_config")
        with (self.root / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-D", "-e", "-f", config], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self.process.poll() is None, (self.root / "sshd.log").read_text()
            assert time.monotonic() < deadline, (self.root / "sshd.log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End sshd."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def build_host(root: Path, **variables: str) -> Iterator[BuildHost]:
    """Hold a build host whose home is below `root`."""
    host = BuildHost(root, free_port(), variables=variables)
    host.prepare()
    host.start()
    try:
        yield host
    finally:
        host.stop()


@dataclass
class Running:
    """A kaiun at work; what it says is kept in files."""

    process: subprocess.Popen[bytes]
    out_path: Path
    err_path: Path

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    def says(self, text: str, timeout_s: float = 30) -> None:
        """Wait until it has said that."""
        deadline = time.monotonic() + timeout_s
        while text not in self.err:
            assert self.process.poll() is None, self.err
            assert time.monotonic() < deadline, self.err
            time.sleep(0.02)

    def ends(self, timeout_s: float = 60) -> int:
        return self.process.wait(timeout_s)


@dataclass
class Developer:
    """Somebody with a clone of the app, git, ssh and kaiun; no Docker."""

    host: RemoteHost
    clone: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    count: int = 0

    def start(self, *words: str) -> Running:
        self.count += 1
        paths = [self.clone.parent / f"{self.clone.name}-{self.count}.{n}" for n in ("out", "err")]
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "kaiun.cli.main", *words],
                cwd=self.clone,
                env=self.host.environment(**self.variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return Running(process, *paths)

    def kaiun(self, *words: str) -> Running:
        running = self.start(*words)
        running.ends()
        return running
