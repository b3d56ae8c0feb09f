"""Find a docker client that can build with BuildKit, wherever it is installed.

A client before version 23 has BuildKit inside (DOCKER_BUILDKIT=1); later ones leave it to the
buildx plugin, without which they cannot. The first on PATH may thus be useless and the next fine.

With buildx the engine's own builder is named, whichever the user has chosen: kaiun builds on images
of the engine, which builders in containers of their own do not see.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kaiun.errors import ImageError

WELL_KNOWN = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/snap/bin")
_TIMEOUT_S = 20
_NEEDS_BUILDX = 23
_HAS_BUILDKIT = 18
_CLIENT_READS = re.compile(
    r"PATH|HOME|TMPDIR|LC_ALL|DOCKER_.*|BUILDKIT_.*|BUILDX_.*|LD_.*|XDG_.*|SSH_.*|GO.*"
)
_VERSION = re.compile(r"Docker version (\d+)\.(\S+?),")


@dataclass(frozen=True, slots=True)
class Client:
    """A docker program and how its BuildKit is reached."""

    program: str
    version: str
    buildx: bool
    builder: str = ""  # of buildx: the engine's own
    config: str = ""  # a directory in place of docker's own configuration

    def build_command(self, *, load: bool = True) -> list[str]:
        """Return the words that begin a build; with `load` its result goes to the engine."""
        if not self.buildx:
            return [self.program, "build"]
        return [self.program, "buildx", "build", *(["--load"] if load else [])]

    def environment(self) -> dict[str, str]:
        """Return the environment for any call: BuildKit on, no attestations, English."""
        config = {"DOCKER_CONFIG": self.config} if self.config else {}
        builder = {"BUILDX_BUILDER": self.builder} if self.builder else {}
        return (
            os.environ
            | config
            | builder
            | {
                "DOCKER_BUILDKIT": "1",
                "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
                "DOCKER_CLI_HINTS": "false",
                "DOCKER_SCAN_SUGGEST": "false",
                "LC_ALL": "C",
            }
        )

    def has_image(self, reference: str) -> bool:
        """Return whether the engine has the image; False also when it does not answer."""
        return _call(self.program, "image", "inspect", "--", reference).returncode == 0


def passed(option: str, variables: Iterable[tuple[str, str]]) -> tuple[list[str], dict[str, str]]:
    """Return options that hand variables to docker, and the environment that has their values.

    A value travels by the environment, for argv is public; unless the name would change what the
    docker client itself does.
    """
    options, environ = [], {}
    for name, value in variables:
        if _CLIENT_READS.fullmatch(name):
            options.append(f"{option}={name}={value}")
        else:
            options.append(f"{option}={name}")
            environ[name] = value
    return options, environ


def find() -> Client:
    """Return the first client on this machine that can build with BuildKit.

    Raises ImageError with every program tried and why it will not do.
    """
    return select(tuple(candidates(os.environ.get("PATH", ""))))


def candidates(path: str, well_known: tuple[str, ...] = WELL_KNOWN) -> list[str]:
    """Return every `docker` on PATH and in the well-known places, each file once."""
    found: dict[Path, str] = {}
    for directory in (*path.split(os.pathsep), *well_known):
        program = Path(directory or ".") / "docker"
        if program.is_file() and os.access(program, os.X_OK):
            found.setdefault(program.resolve(), str(program))
    return list(found.values())


def require_engine(client: Client) -> None:
    """Raise ImageError with a hint unless the Docker Engine answers this client."""
    done = _call(client.program, "version", "--format", "{{.Server.Version}}")
    if done.returncode == 0:
        return
    said = done.stderr.strip()
    raise ImageError(
        "the Docker Engine does not answer", hint=_engine_hint(said), detail=said.splitlines()[-3:]
    )


@functools.cache
def select(programs: tuple[str, ...]) -> Client:
    """Return the first of `programs` that can; remembered for this process."""
    with ThreadPoolExecutor(thread_name_prefix="docker") as pool:
        verdicts = list(pool.map(_examine, programs))
    for verdict in verdicts:
        if isinstance(verdict, Client):
            return verdict
    tried = [f"{program}: {why}" for program, why in zip(programs, verdicts, strict=True)]
    raise ImageError(
        "no docker client here can build with BuildKit" if tried else "docker is not installed",
        hint="apt-get install docker-buildx (or docker-buildx-plugin)"
        if tried
        else "apt-get install docker.io (Debian) or see docs.docker.com/engine/install",
        detail=tried,
    )


def _examine(program: str) -> Client | str:
    """Return the client, or why it will not do."""
    version = _VERSION.match(_call(program, "--version").stdout)
    if not version:
        return "is not Docker's client"
    major, number = int(version[1]), f"{version[1]}.{version[2]}"
    if major < _HAS_BUILDKIT:
        return f"version {number} is too old for BuildKit"
    if major < _NEEDS_BUILDX:
        return Client(program, number, buildx=False)
    if _call(program, "buildx", "version").returncode == 0:
        return Client(program, number, buildx=True, builder=_builder(program))
    return f"version {number} needs the buildx plugin, which is not installed"


def _builder(program: str) -> str:
    """Return the builder of the engine that the client talks to: it has the context's name.

    Source: Docker, "Build drivers": the docker driver is made by itself, one for each context.
    """
    return _call(program, "context", "show").stdout.strip() or "default"


def _call(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return subprocess.CompletedProcess([program], 1, "", str(problem))


def _engine_hint(said: str) -> str:
    if "permission denied" in said.lower():
        return "usermod -aG docker $USER, then log in again (members of that group are root)"
    host = os.environ.get("DOCKER_HOST")
    if host:
        return f"DOCKER_HOST is {host}: is the engine running there?"
    return "start it: systemctl start docker (or: service docker start)"
