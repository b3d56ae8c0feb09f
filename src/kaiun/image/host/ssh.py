"""OpenSSH's own client: the user's configuration, agent, jump hosts and known hosts count.

Nothing is asked for on a terminal (BatchMode). A dead network is noticed within 15 s.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "RemoteCommand=none",
    "LogLevel=ERROR",
)
_URL = re.compile(r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>[^:/@]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class Host:
    """A build host as `image.host` names it: ssh://[user@]host[:port]."""

    name: str
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"ssh://{self.destination}{port}"

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.name}" if self.user else self.name

    def command(self, remote: str) -> list[str]:
        """Return the words that run `remote`, a command for the user's login shell."""
        options = [word for option in OPTIONS for word in ("-o", option)]
        port = ["-p", str(self.port)] if self.port else []
        return ["ssh", "-T", *options, *port, "--", self.destination, remote]


def parse(url: str) -> Host:
    """Read ssh://[user@]host[:port]. Raises ImageError."""
    found = _URL.fullmatch(url)
    if not found:
        raise ImageError(
            f"{url!r} is no build host", hint="write ssh://[user@]host[:port], as image.host has it"
        )
    return Host(found["host"], found["user"] or "", int(found["port"] or 0))


def require() -> None:
    """Raise ImageError unless OpenSSH's client is installed."""
    if shutil.which("ssh") is None:
        raise ImageError("ssh is not installed", hint="apt-get install openssh-client")


def failure(host: Host, said: Sequence[str]) -> ImageError:
    """Return why no worker answered: what ssh, or the host's shell, said last."""
    text = "\n".join(said).lower()
    ways_out = (
        ("host key verification failed", f"look at its key once: ssh {host.destination}"),
        ("permission denied", "is the key in the agent (ssh-add -l), and known to the host?"),
        ("could not resolve", "is the name right? (image.host, or Host in ~/.ssh/config)"),
        ("connection refused", "does sshd run there, on this port?"),
        ("timed out", "is the network up, and the host on?"),
    )
    hint = next((way for words, way in ways_out if words in text), f"ssh {host.destination} true")
    return ImageError(
        "the build host cannot be reached", where=str(host), hint=hint, detail=list(said)[-5:]
    )
