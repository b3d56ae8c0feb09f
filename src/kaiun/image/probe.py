"""Look into an image: what it says of itself, whether it has a Python, how it would get one."""

from __future__ import annotations

import enum
import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

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


# Names and versions of what may take part in compiling assets: interpreters; gems, by the names of
# their specifications and of their git checkouts; npm packages, by the lock that each package
# manager leaves in node_modules; Python packages.
_HOMES = "/root /home/*"
_RUBIES = " ".join(
    f"{place}/lib/ruby/gems/*"
    for place in (
        "/usr/local",
        "/opt/*",
        "/opt/rubies/*",
        "/usr/local/rbenv/versions/*",
        *(
            f"{home}/{manager}/*"
            for home in _HOMES.split()
            for manager in (".rbenv/versions", ".asdf/installs/ruby", ".rubies")
        ),
    )
)
_GEMS = (
    '"$GEM_HOME" "$BUNDLE_PATH"/ruby/* /usr/local/bundle /usr/local/bundle/ruby/* '
    "/usr/share/rubygems-integration/* /var/lib/gems/* /usr/lib/ruby/gems/* "
    f"./vendor/bundle/ruby/* {_RUBIES}"
)
_NODE_LOCKS = (
    "node_modules/.package-lock.json node_modules/.yarn-integrity node_modules/.yarn-state.yml "
    "node_modules/.pnpm/lock.yaml .pnp.cjs"
)
_SITES = '/usr/local/lib/python3* "$VIRTUAL_ENV"/lib/python3* ./.venv/lib/python3*'
TOOLS = f"""
ruby --disable=gems -v; node --version; python3 --version
for d in {_GEMS}; do ls "$d/specifications" "$d/specifications/default" "$d/bundler/gems"; done
for f in {_NODE_LOCKS}; do if [ -r $f ]; then sha256sum <$f; fi; done
for d in {_SITES}; do ls -d "$d"/site-packages/*.dist-info; done
true
"""


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
    """What an image has. `key` names its package database together with what is needed.

    `tools` is a checksum that changes with what the image could compile by: its packages, its
    Ruby, Node and Python and their libraries; not with the app's own code.
    """

    python: str
    manager: Manager
    key: str
    need: Need
    tools: str = ""
    said: tuple[str, ...] = ()  # the last words of a shell that did not answer

    def require_python(self) -> None:
        """Raise ImageError when the image neither has a Python nor could get one."""
        if self.python or self.manager.program:
            return
        why = "no Python 3.9 and no package manager" if self.key else "no shell"
        raise ImageError(
            f"the image has {why}",
            hint="install Python 3.9 or later in the Dockerfile",
            detail=self.said,
        )


def look(client: Client, image: str, need: Need, workdir: str = "/") -> Found:
    """Return the Python that will do, else the package manager that can bring one, and the tools.

    All by one container, since each takes half a second.
    """
    done = call(
        client, "run", "--rm", "--network=none", "--user=0:0", f"--workdir={workdir}",
        "--entrypoint=/bin/sh", image, "-c", script(need),
    )  # fmt: skip
    lines = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    manager = next((each for each in MANAGERS if each.program == lines.get("manager")), NONE)
    packages = f"{lines.get('system')} {lines.get('packages')}"
    key = hashlib.sha256(f"tree {packages} {need}".encode()).hexdigest()[:20]
    tools = f"{packages} {lines.get('tools')}"
    said = tuple(done.stderr.splitlines()[-3:])
    if done.returncode:
        key = ""
    return Found(lines.get("python", ""), manager, key, need, tools, said)


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
echo "tools $({{ {TOOLS} }} 2>/dev/null | sha256sum)"
true
"""


def said(client: Client, image: str) -> dict[str, Any] | None:
    """Return what the engine says of an image, None where it has none of that name."""
    done = call(client, "image", "inspect", "--", image)
    return None if done.returncode else cast("dict[str, Any]", json.loads(done.stdout)[0])


def inspect(client: Client, image: str) -> ImageFacts:
    """Return what an image says of itself. Raises ImageError."""
    found = said(client, image)
    if found is None:
        raise ImageError("the image just built is not in the engine", where=image)
    config = found["Config"]
    return ImageFacts(
        tuple(config.get("Entrypoint") or ()),
        tuple(config.get("Cmd") or ()),
        config.get("User") or "",
        config.get("WorkingDir") or "/",
        found["Size"],
        tuple(config.get("Env") or ()),
    )


def tag(client: Client, image: str, name: str) -> None:
    """Give an image another name. Raises ImageError."""
    if call(client, "image", "tag", image, name).returncode:
        raise ImageError("the image cannot be named", where=name)


def untag(client: Client, image: str) -> None:
    """Take a name away; what is built on it stays."""
    call(client, "image", "rm", "--no-prune", "--", image)


def call(
    client: Client, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the docker client, with more variables if given; a failure is a return code."""
    try:
        return subprocess.run(
            [client.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            env=client.environment() | dict(environ or {}),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return subprocess.CompletedProcess([client.program], 1, "", str(problem))
