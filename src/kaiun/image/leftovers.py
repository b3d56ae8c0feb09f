"""What a build that was killed (kill -9, a power cut) left in the Docker Engine.

The image of the user's Dockerfile, to which kaiun adds its layer, has a name for as long as the
build runs, and so have the layer that is carried over from the last build and the containers that
compile assets. The name says which build of which
state home made it, so that a later build can tell whether that one still lives: its lock is held.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.image import lock, probe

if TYPE_CHECKING:
    from kaiun.image.client import Client

PLAIN = "kaiun-plain"
LAYER = "kaiun-layer"
COMPILE = "kaiun-compile"


def plain_name(home: Path, name: str) -> str:
    """Return the name of the plain image while image `name` is built."""
    return f"{PLAIN}:{_key(home)}-{lock.key(name)}"


def layer_name(home: Path, name: str) -> str:
    """Return the name of the image that holds nothing but kaiun's layer, meanwhile."""
    return f"{LAYER}:{_key(home)}-{lock.key(name)}"


def compile_name(home: Path, name: str) -> str:
    """Return a name for a container that compiles assets while image `name` is built."""
    return f"{COMPILE}-{_key(home)}-{lock.key(name)}-{uuid.uuid4().hex[:8]}"


def sweep(client: Client, home: Path) -> None:
    """Take away the plain images' names and the containers whose build is no more."""
    ours = f"--filter=name=^{COMPILE}-{_key(home)}-"
    listed = probe.call(client, "container", "ls", "--all", "--format={{.Names}}", ours)
    for name in listed.stdout.split():
        key = name.removeprefix(f"{COMPILE}-{_key(home)}-").partition("-")[0]
        if not lock.is_held(home / "locks" / f"{key}.lock"):
            probe.call(client, "rm", "--force", "--volumes", name)
    _sweep_images(client, home)


def _sweep_images(client: Client, home: Path) -> None:
    ours = (f"--filter=reference={each}:{_key(home)}-*" for each in (PLAIN, LAYER))
    listed = probe.call(client, "image", "ls", "--format={{.Repository}}:{{.Tag}}", *ours)
    for name in listed.stdout.split():
        key = name.rpartition("-")[2]
        if not lock.is_held(home / "locks" / f"{key}.lock"):
            probe.untag(client, name)


def _key(home: Path) -> str:
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
