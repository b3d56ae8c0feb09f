"""A copy of the last good cache, made ahead of time, so that a compile begins at once.

To copy a cache of some thousand files may take as long as the compile that finds all in it. So it
is done after a compile, by a container of its own, while the build goes on. Who takes the copy has
it alone; what becomes of it is the compile's affair, and the cache it was made from is untouched.

    KEY.json     the volumes of the last good compile
    KEY.spare    those that hold a whole copy of them
    KEY.busy     those just being filled, or just taken: not to be swept away
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from kaiun.assets import carried
from kaiun.assets.carried import BUSY, GOOD, SPARE, Beginning
from kaiun.image import probe
from kaiun.image import stop as stops

if TYPE_CHECKING:
    from kaiun.assets.carried import Cache
    from kaiun.image.stop import Stop


def begin(cache: Cache, *, fresh: bool) -> Beginning:
    """Return what a compile begins with; `fresh`, with nothing."""
    if fresh:
        return Beginning(cache.fresh())
    if volumes := _take(cache):
        return Beginning(volumes, ready=True)
    return Beginning(cache.fresh(), cache.good())


def make(cache: Cache, image: str, container: str, stop: Stop) -> None:
    """Copy the last good cache for the next compile, in a container of this name.

    Where that cannot be, the next compile copies for itself. Raises Interrupted, AssetsError.
    """
    good = carried.read(cache.path(GOOD)).get("volumes")
    if not good or carried.read(cache.path(SPARE)).get("of") == good:
        return
    volumes = cache.fresh()
    cache.write(BUSY, volumes)
    client = cache.client
    lines = ("set -e", carried.CAN_COPY, *carried.copying(cache.folders))
    argv = [
        client.program, "run", "--rm", f"--name={container}", "--network=none", "--user=0:0",
        "--entrypoint=/bin/sh", *cache.mounts(volumes, good), image, "-c", "\n".join(lines),
    ]  # fmt: skip

    def end() -> None:
        probe.call(client, "rm", "--force", container)

    with (
        stop.calling(end),
        stops.child(argv, client.environment(), stop) as process,
    ):
        for _ in stops.lines(process):
            pass
    if process.returncode == 0:
        cache.write(SPARE, volumes, of=good)
    release(cache, volumes)


def release(cache: Cache, volumes: str) -> None:
    """Let volumes be swept away that are neither good nor a spare."""
    if carried.read(cache.path(BUSY)).get("volumes") == volumes:
        cache.path(BUSY).unlink(missing_ok=True)


def _take(cache: Cache) -> str:
    """Return the volumes of the copy, which nobody else gets; "" where it is none of the last good.

    Renaming decides between two that want it. What was taken counts as busy: Docker itself keeps
    volumes from being removed only once a container has them.
    """
    good = carried.read(cache.path(GOOD)).get("volumes")
    ours = cache.path(SPARE).with_name(f".{uuid.uuid4().hex}")
    found = {}
    with suppress(OSError):
        cache.path(SPARE).rename(ours)
        found = carried.read(ours)
        ours.replace(cache.path(BUSY))
    usable = found.get("of") == good and found.get("folders") == list(cache.folders)
    return str(found["volumes"]) if good and usable else ""
