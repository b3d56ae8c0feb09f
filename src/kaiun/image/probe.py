"""Look into an image: what it says of itself, whether it has a Python, how it would get one."""

from __future__ import annotations

import enum
import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image.startfile import ImageFacts

if TYPE_CHECKING:
    from kaiun.image.client import Client

_TIMEOUT_S = 60


class Need(enum.IntEnum):
    """How much of Python the entry needs; each includes those before it."""

    LITTLE = 0  # what python3-minimal has
    LIBRARY = 1  # json, http.client, hmac, …
    CRYPTOGRAPHY = 2


IMPORTS = {
    Need.LITTLE: "import os, _signal, time, socket, ssl, zlib, marshal, subprocess",
    Need.LIBRARY: "import json, http.client, urllib.parse, hmac, hashlib, base64, re, typing",
    Need.CRYPTOGRAPHY: "import cryptography.hazmat.primitives.ciphers.aead",
}


@dataclass(frozen=True, slots=True)
class Manager:
    """A package manager and what it calls Python."""

    program: str
    packages: Mapping[Need, tuple[str, ...]]
    caches: tuple[str, ...]


MANAGERS = (
    Manager(
        "apt-get",
        {
            Need.LITTLE: ("python3-minimal",),
            Need.LIBRARY: ("python3", "ca-certificates"),
            Need.CRYPTOGRAPHY: ("python3-cryptography", "ca-certificates"),
        },
        ("/var/cache/apt", "/var/lib/apt/lists"),
    ),
    Manager(
        "apk",
        {
            Need.LITTLE: ("python3",),
            Need.LIBRARY: ("python3", "ca-certificates-bundle"),
            Need.CRYPTOGRAPHY: ("py3-cryptography", "ca-certificates-bundle"),
        },
        ("/var/cache/apk",),
    ),
    *(
        Manager(
            program,
            {
                Need.LITTLE: ("python3",),
                Need.LIBRARY: ("python3", "ca-certificates"),
                Need.CRYPTOGRAPHY: ("python3-cryptography", "ca-certificates"),
            },
            ("/var/cache/dnf",),
        )
        for program in ("dnf", "microdnf", "yum")
    ),
)
NONE = Manager("", {}, ())


@dataclass(frozen=True, slots=True)
class Found:
    """What an image has. `key` names its package database together with what is needed."""

    python: str
    manager: Manager
    key: str
    need: Need


def look(client: Client, image: str, need: Need) -> Found:
    """Return the Python that will do, else the package manager that can bring one.

    Raises ImageError when the image has neither.
    """
    done = call(
        client, "run", "--rm", "--network=none", "--user=0:0", "--workdir=/",
        "--entrypoint=/bin/sh", image, "-c", script(need),
    )  # fmt: skip
    lines = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    manager = next((each for each in MANAGERS if each.program == lines.get("manager")), NONE)
    key = hashlib.sha256(f"{lines.get('system')} {lines.get('packages')} {need}".encode())
    if not lines.get("python") and not manager.program:
        why = "no Python 3.9 and no package manager" if done.returncode == 0 else "no shell"
        raise ImageError(
            f"the image has {why}",
            hint="install Python 3.9 or later in the Dockerfile",
            detail=done.stderr.splitlines()[-3:],
        )
    return Found(lines.get("python", ""), manager, key.hexdigest()[:20], need)


def script(need: Need) -> str:
    """Return what a shell in the image is asked to do."""
    imports = "; ".join(IMPORTS[each] for each in Need if each <= min(need, Need.LIBRARY))
    check = f"import sys; assert sys.version_info >= (3, 9); {imports}"
    test = f"\"$p\" -I -S -c '{check}'"
    if need is Need.CRYPTOGRAPHY:
        test += f" && \"$p\" -I -c '{IMPORTS[need]}'"
    programs = " ".join(each.program for each in MANAGERS)
    return f"""
for p in $(command -v python3) /usr/local/bin/python3 /usr/bin/python3; do
  if {test}; then echo "python $p"; break; fi
done 2>/dev/null
if [ -r /etc/os-release ]; then . /etc/os-release; echo "system $ID $VERSION_ID $(uname -m)"; fi
for m in {programs}; do
  if command -v $m >/dev/null; then echo "manager $m"; break; fi
done
for f in /var/lib/dpkg/status /lib/apk/db/installed /usr/lib/sysimage/rpm/rpmdb.sqlite \
  /var/lib/rpm/rpmdb.sqlite /var/lib/rpm/Packages; do
  if [ -r $f ]; then echo "packages $(sha256sum <$f)"; break; fi
done
true
"""


def inspect(client: Client, image: str) -> ImageFacts:
    """Return what an image says of itself. Raises ImageError."""
    done = call(client, "image", "inspect", "--", image)
    if done.returncode:
        raise ImageError("the image just built is not in the engine", where=image)
    found = json.loads(done.stdout)[0]
    config = found["Config"]
    return ImageFacts(
        tuple(config.get("Entrypoint") or ()),
        tuple(config.get("Cmd") or ()),
        config.get("User") or "",
        config.get("WorkingDir") or "/",
        found["Size"],
    )


def tag(client: Client, image: str, name: str) -> None:
    """Give an image another name. Raises ImageError."""
    if call(client, "image", "tag", image, name).returncode:
        raise ImageError("the image cannot be named", where=name)


def untag(client: Client, image: str) -> None:
    """Take a name away; what is built on it stays."""
    call(client, "image", "rm", "--no-prune", "--", image)


def call(client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the docker client; a failure is a return code."""
    try:
        return subprocess.run(
            [client.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            env=client.environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return subprocess.CompletedProcess([client.program], 1, "", str(problem))
