"""What `kaiun check` asks of a build host, on the host: could it build?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import client as clients
from kaiun.image import probe

if TYPE_CHECKING:
    from kaiun.image.client import Client

LEAST_FREE = 5 << 30  # bytes: an image of a Rails app and the layers on the way to it
FOLDERS = ("locks", "builds", "work")


def look(home: Path) -> str:
    """Return in one line what there is. Raises ImageError for the first thing that is missing."""
    client = clients.find()
    clients.require_engine(client)
    free = _require_room(client, home)
    _require_folders(home)
    how = "buildx" if client.buildx else "BuildKit"
    return f"Docker {client.version} with {how}, {free >> 30} GiB free"


def _require_room(client: Client, home: Path) -> int:
    """Return the bytes that are free where images and kaiun's folders are."""
    root = Path(probe.call(client, "info", "--format={{.DockerRootDir}}").stdout.strip() or "/")
    free = {path: shutil.disk_usage(path).free for path in (root, home) if path.exists()}
    least = min(free, key=lambda path: free[path])
    if free[least] < LEAST_FREE:
        raise ImageError(
            f"the build host has {free[least] >> 20} MiB of disk left",
            where=str(least),
            hint="docker builder prune --keep-storage 10GB (on the host)",
        )
    return free[least]


def _require_folders(home: Path) -> None:
    for name in FOLDERS:
        folder = home / name
        if not os.access(folder, os.W_OK):
            raise ImageError(
                f"the build host's folder {folder} cannot be written",
                hint="kaiun build --setup: the user has to be of the group kaiun there",
            )
