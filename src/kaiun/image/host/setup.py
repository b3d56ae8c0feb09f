"""Prepare a Debian machine as a build host: setup.sh over SSH, what it needs, what it says."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from shlex import quote
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image.host import ssh
from kaiun.image.host.code import environment, requirements
from kaiun.image.reference import is_loopback, parse

if TYPE_CHECKING:
    from kaiun.config.schema import Config

KEPT_LINES = 20


@dataclass(frozen=True, slots=True)
class Needs:
    """What a host is to have: `user` builds there ("" for who logs in), `port` is a registry's."""

    app: str
    user: str = ""
    port: int = 0


def needs(config: Config) -> Needs:
    """Return what kaiun.yml asks for: a repository on loopback is a registry of the host's own."""
    registry = parse(config.image.repository).registry
    port = registry.rpartition(":")[2]
    own = is_loopback(registry) and port.isdigit()
    user = ssh.parse(config.image.host).user if config.image.host else ""
    return Needs(config.app, user, int(port) if own else 0)


def prepare(host: ssh.Host, wanted: Needs, tell: Callable[[str], None]) -> None:
    """Do on the host what is not done yet; `tell` is given what it says, line by line.

    Raises ImageError with the last lines where something fails.
    """
    ssh.require()
    said: list[str] = []
    with subprocess.Popen(
        host.command("exec sh -s"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        feeder = threading.Thread(target=_feed, args=(process, script(wanted)), daemon=True)
        feeder.start()
        for line in _lines(process):
            said.append(line)
            if not line.startswith(("error: ", "hint: ")):
                tell(line)
        feeder.join()
    if process.returncode:
        raise _failure(host, said)


def script(wanted: Needs) -> str:
    """Return setup.sh with what it is told before it."""
    given = {
        "environment": environment(),
        "user": wanted.user,
        "app": wanted.app,
        "port": str(wanted.port or ""),
        "requirements": requirements(),
    }
    body = resources.files("kaiun.image.host").joinpath("setup.sh").read_text("utf-8")
    # In braces, so that the shell has read all of it before a program can read from stdin.
    words = "".join(f"{name}={quote(value)}\n" for name, value in given.items())
    return f"{{\n{words}{body}\nexit\n}}\n"


def _feed(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin  # noqa: S101  (asked for by `prepare`)
    try:
        process.stdin.write(text)
        process.stdin.close()
    except OSError:
        pass  # the host's side ended: its code says so


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout  # noqa: S101
    for line in process.stdout:
        yield line.rstrip()


def _failure(host: ssh.Host, said: list[str]) -> ImageError:
    told = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    if not told:
        return ssh.failure(host, said)
    evidence = [line for line in said if not line.startswith(("error: ", "hint: "))]
    hint = hints[-1].replace("HOST", host.name) if hints else ""
    return ImageError(
        f"the build host is not prepared: {told[-1]}",
        where=str(host),
        hint=hint,
        detail=evidence[-KEPT_LINES:],
    )
