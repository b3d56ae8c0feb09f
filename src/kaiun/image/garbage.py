"""What builds left on this host: its size, and why it stays or that it can go.

Cache mounts are looked into by a build that mounts them, for Docker Engine tells the ids of its
cache records only since version 23; they are emptied the same way.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaiun.assets import carried
from kaiun.assets.store import Store
from kaiun.assets.store import size as sizes_of
from kaiun.cpu import shim as shims
from kaiun.errors import ImageError
from kaiun.image import checkout, mounts, probe, shim
from kaiun.image.build import Recipe, run
from kaiun.image.layer import PYTHON

if TYPE_CHECKING:
    from kaiun.image.client import Client
    from kaiun.image.stop import Stop

UNUSED_DAYS = 30
_DAY_S = 86_400
_EMPTY_KIB = 4  # what `du` says of an empty folder
_INSIDE = "/dev/kaiun"  # in a tmpfs: the mounts leave no mount points behind
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_COMMIT = re.compile(r"[0-9a-f]{40}")  # a commit's SHA, or a tree's
_SIZE = re.compile(r"([\d.]+)\s*([kMGT]?B)")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that takes room. `needed` tells why it stays, "" where it can go."""

    kind: str
    name: str
    size: int  # bytes
    needed: str
    remove: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Host:
    """The Docker Engine and the state home whose builds they were, of one app."""

    client: Client
    home: Path
    app: str
    stop: Stop

    def items(self) -> list[Item]:
        """Return everything that is here. Raises ImageError when the engine does not answer."""
        return [
            *cache_mounts(self),
            *asset_volumes(self),
            *stored_assets(self.home),
            *contexts(self.home),
            *app_images(self),
            *helper_images(self),
        ]


def cache_mounts(host: Host) -> Iterator[Item]:
    """Yield every generation of the app's cache mounts that holds something."""
    known = mounts.every(host.home, host.app)
    if not known:
        return
    inside = _image_of(host)
    if not inside:
        return  # the app was never built here, or its images are gone: nothing to look with
    sizes = _in_mounts(host, inside, list(known), "")
    for own, current in known.items():
        if size := sizes.get(own, 0):
            needed = "builds carry it on" if current else ""
            yield Item("cache mount", own, size, needed, _emptier(host, inside, own))


def asset_volumes(host: Host) -> Iterator[Item]:
    """Yield the volumes that asset compilers left: those of no compile, or of none of late, go."""
    listed = carried.volumes(host.client, host.home, host.app)
    if not listed:
        return
    since = carried.named(host.home)
    sizes = _volume_sizes(host.client)
    for name in listed:
        age_d = (time.time() - since.get(name.rpartition("-")[0], 0.0)) / _DAY_S
        needed = _recently("used", age_d)
        remove = _remover(host.client, "volume", "rm", name)
        yield Item("asset cache", name, sizes.get(name, 0), needed, remove)


def stored_assets(home: Path) -> Iterator[Item]:
    """Yield the copies of compiled assets that the state home has, of all apps.

    The registry has them too, and what is missing here is fetched from there.
    """
    store = Store(home / "assets")
    unused_s = UNUSED_DAYS * _DAY_S
    goes = sizes_of(store.unused(unused_s))
    where = f"{store.root}/blobs"
    if stays := store.size() - goes:
        used = f"used in the last {UNUSED_DAYS} days"
        yield Item("copies of assets", where, stays, used, lambda: None)
    if goes:
        name = f"{where}: unused"
        yield Item("copies of assets", name, goes, "", lambda: _sweep(store, unused_s))


def contexts(home: Path) -> Iterator[Item]:
    """Yield the folders of this Unix user that builds read the files of commits from."""
    for place in checkout.kept(home):
        age_d = (time.time() - checkout.used_at(place)) / _DAY_S
        needed = _recently("used", age_d)
        remove = partial(checkout.remove, place)
        yield Item("files of a commit", str(place), checkout.size(place), needed, remove)


def app_images(host: Host) -> Iterator[Item]:
    """Yield the images of the app that builds left in the engine, after they were pushed.

    The registry has them. One stays that a container here uses.
    """
    listed = probe.call(
        host.client, "image", "ls", "--quiet", "--no-trunc",
        f"--filter=label=kaiun.app={host.app}", "--filter=dangling=false",
    )  # fmt: skip
    ids = sorted(set(listed.stdout.split()))
    used = _used_images(host.client) if ids else frozenset()
    for found in _inspected(host.client, "image", ids):
        age_d = (time.time() - _named_at(found)) / _DAY_S
        needed = _recently("made", age_d)
        needed = "a container has it" if found["Id"] in used else needed
        names = [name for name in found["RepoTags"] if _COMMIT.fullmatch(name.rpartition(":")[2])]
        for name in names:
            remove = _remover(host.client, "image", "rm", name)
            yield Item("image", name, found["Size"] // len(names), needed, remove)


def helper_images(host: Host) -> Iterator[Item]:
    """Yield the images of Python and of the compiler shim; builds make those that they miss."""
    current = {shims.digest(shims.files(name)) for name in shims.TARGETS}
    for name, size, _ in _images(host.client, shim.IMAGE):
        needed = "of this version of kaiun" if name.partition(":")[2] in current else ""
        remove = _remover(host.client, "image", "rm", name)
        yield Item("compiler shim", name, size, needed, remove)
    for name, size, age_d in _images(host.client, PYTHON):
        needed = _recently("made", age_d)
        remove = _remover(host.client, "image", "rm", name)
        yield Item("Python for images", name, size, needed, remove)


def to_bytes(text: str) -> int:
    """Return what docker prints as a size: "71.01MB" → 71010000; 0 for anything else."""
    found = _SIZE.fullmatch(text.strip())
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def _image_of(host: Host) -> str:
    """Return the name of any image of the app that the engine has."""
    words = ("image", "ls", f"--filter=label=kaiun.app={host.app}", "--format")
    listed = probe.call(host.client, *words, "{{.Repository}}:{{.Tag}}").stdout.split()
    return next((name for name in listed if "<none>" not in name), "")


def _in_mounts(host: Host, inside: str, ids: Sequence[str], script: str) -> dict[str, int]:
    """Run a shell script among cache mounts; return the bytes that each has afterwards.

    Raises ImageError, as where the image has no shell.
    """
    flags = " ".join(f"--mount=type=cache,id={own},target={_INSIDE}/{own}" for own in ids)
    command = f"cd {_INSIDE}; {script} du -sk * >/tmp/kaiun-sizes"
    lines = (
        f"FROM {inside} AS looked",
        "USER 0:0",
        "ARG AT",  # BuildKit would take the last look from its cache
        f"RUN {flags} {json.dumps(['/bin/sh', '-euc', command])}",
        "FROM scratch",
        "COPY --from=looked /tmp/kaiun-sizes /sizes",
        "",
    )
    with tempfile.TemporaryDirectory(prefix="kaiun-look-") as folder:
        context, output = Path(folder, "context"), Path(folder, "output")
        context.mkdir()
        (context / "Dockerfile").write_text("\n".join(lines))
        args = (("AT", uuid.uuid4().hex),)
        run(host.client, Recipe("", context, "Dockerfile", {}, args=args), host.stop, output)
        found = (line.split("\t") for line in (output / "sizes").read_text().splitlines())
        return {name: int(kib) * 1024 for kib, name in found if int(kib) > _EMPTY_KIB}


def _emptier(host: Host, inside: str, own: str) -> Callable[[], None]:
    script = f"find {own} -mindepth 1 -delete 2>/dev/null || rm -rf {own}/* {own}/.[!.]*;"

    def remove() -> None:
        _in_mounts(host, inside, [own], script)

    return remove


def _remover(client: Client, *words: str) -> Callable[[], None]:
    def remove() -> None:
        done = probe.call(client, *words)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise ImageError(f"docker {' '.join(words)} failed", detail=said[-3:])

    return remove


def _recently(verb: str, age_d: float) -> str:
    """Return why something of that age stays, "" where it is too old for that."""
    return f"{verb} {age_d:.0f} days ago" if age_d <= UNUSED_DAYS else ""


def _images(client: Client, repository: str) -> Iterator[tuple[str, int, float]]:
    """Yield name, size in bytes and age in days of each image of a repository."""
    layout = "{{.Repository}}:{{.Tag}}\t{{.Size}}\t{{.CreatedAt}}"
    listed = probe.call(client, "image", "ls", f"--format={layout}", repository).stdout
    for line in listed.splitlines():
        name, size, created = line.split("\t")
        made = datetime.strptime(" ".join(created.split()[:3]), "%Y-%m-%d %H:%M:%S %z")
        yield name, to_bytes(size), (time.time() - made.timestamp()) / _DAY_S


def _used_images(client: Client) -> frozenset[str]:
    """Return the ids of the images that containers were made from, whatever their state."""
    ids = probe.call(client, "container", "ls", "--all", "--quiet").stdout.split()
    return frozenset(str(found["Image"]) for found in _inspected(client, "container", ids))


def _inspected(client: Client, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the engine tells of those that are still there."""
    if not ids:
        return []
    found: list[dict[str, Any]] = json.loads(
        probe.call(client, kind, "inspect", *ids).stdout or "[]"
    )
    return found


def _named_at(found: Mapping[str, Any]) -> float:
    """Return when an image was made or last got a name here, in seconds since the epoch."""
    stamps = (found["Created"], found.get("Metadata", {}).get("LastTagTime", ""))
    return max(_seconds(stamp) for stamp in stamps)


def _seconds(stamp: str) -> float:
    """Return a time of Docker's: 2026-11-25T23:49:03.512857040Z. 0 where it is none."""
    try:
        return datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()
    except ValueError:
        return 0.0


def _sweep(store: Store, unused_s: float) -> None:
    store.sweep(unused_s)


def _volume_sizes(client: Client) -> Mapping[str, int]:
    done = probe.call(client, "system", "df", "--verbose", "--format={{json .Volumes}}")
    listed = json.loads(done.stdout or "[]") if done.returncode == 0 else []
    return {each["Name"]: to_bytes(each["Size"]) for each in listed}
