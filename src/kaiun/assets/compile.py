"""Compile in a container of the image that was just built, and take out what that left.

As root, as in a RUN before the Dockerfile's USER: the output must be writable whoever runs the app
later, and nothing of the container is kept but the output and the cache.
"""

from __future__ import annotations

import posixpath
import shlex
import subprocess
import tarfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from kaiun.assets import carried, collect
from kaiun.assets.collect import Content
from kaiun.errors import AssetsError
from kaiun.image import client as clients
from kaiun.image import leftovers, plain, probe
from kaiun.image import stop as stops
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kaiun.assets.groups import Group
    from kaiun.assets.manifest import AssetManifest
    from kaiun.assets.store import Store
    from kaiun.image.client import Client
    from kaiun.image.events import Progress
    from kaiun.image.stop import Stop

# What Rails asks for at boot though compiling needs none of it. Nothing here is a secret.
DUMMIES = {"SECRET_KEY_BASE_DUMMY": "1", "SECRET_KEY_BASE": "0" * 64}
_KEPT_LINES = 20
_LINKS_MAX = 8  # of links that lead to links


@dataclass(frozen=True, slots=True)
class Kitchen:
    """What the compiles of one build share."""

    client: Client
    image: str  # of the user's Dockerfile
    workdir: str
    variables: tuple[str, ...]  # of the image: NAME=value
    store: Store
    home: Path
    build: str  # the name of the image that is built
    progress: Progress
    stop: Stop
    later: Callable[[Callable[[], object]], object]  # does what nobody needs to wait for


def compile_assets(
    kitchen: Kitchen, group: Group, digest: str, cache: carried.Cache, *, fresh: bool
) -> AssetManifest:
    """Run the group's command; return what it left, its contents in the store.

    `fresh` begins with an empty cache. The cache is carried on only when all went well.
    Raises AssetsError with the command's last lines; Interrupted when asked to stop.
    """
    seed = "" if fresh else cache.good()
    volumes = cache.fresh()
    began = time.monotonic()
    with _container(kitchen, group, cache, volumes, seed) as name:
        _run(kitchen, group, name)
        output = _taken(kitchen, group, name)
        cache.accept(volumes)
    seconds = time.monotonic() - began
    kitchen.progress(BuildEvent("assets", "done", f"assets of {group.name}", seconds=seconds))

    def read(path: str) -> bytes:
        return kitchen.store.path(output[path].sha256).read_bytes()

    manifest = collect.manifest(digest, group.settings.root, output, read)
    kitchen.store.keep(manifest)
    return manifest


def environment(group: Group, image: tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a compile beside the image's own; what these set is no dummy."""
    set_already = {each.partition("=")[0] for each in image}
    dummies = {name: each for name, each in DUMMIES.items() if name not in set_already}
    host = {"ASSET_HOST": group.settings.host} if group.settings.host else {}
    return {**dummies, **host, **group.settings.env}


@contextmanager
def _container(
    kitchen: Kitchen, group: Group, cache: carried.Cache, volumes: str, seed: str
) -> Iterator[str]:
    """Yield the name of a container that waits to be started.

    It goes after the block, and with it the volumes of a cache that was not accepted.
    """
    name = leftovers.compile_name(kitchen.home, kitchen.build)
    script = carried.script(cache.folders, group.settings.inputs, seeded=bool(seed))
    options, environ = clients.passed("--env", environment(group, kitchen.variables).items())
    client = kitchen.client
    try:
        made = probe.call(
            client, "create", f"--name={name}", "--user=0:0",
            f"--workdir={kitchen.workdir}", "--entrypoint=/bin/sh",
            *cache.mounts(volumes, seed), *options,
            kitchen.image, "-c", script, "kaiun",
            *group.settings.command, environ=environ,
        )  # fmt: skip
        if made.returncode:
            raise AssetsError(
                "there is no container to compile assets in",
                where=f"assets of {group.name}",
                detail=made.stderr.splitlines()[-3:],
            )
        yield name
    finally:
        kitchen.later(lambda: _clear(client, name, cache))


def _clear(client: Client, name: str, cache: carried.Cache) -> None:
    probe.call(client, "rm", "--force", "--volumes", name)
    cache.sweep()


def _run(kitchen: Kitchen, group: Group, name: str) -> None:
    """Run the command to its end. Raises AssetsError unless it ends well."""
    client = kitchen.client
    title = f"assets of {group.name}: {shlex.join(group.settings.command)}"
    kitchen.progress(BuildEvent("assets", "started", title))
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    argv = [client.program, "start", "--attach", name]
    with stops.child(argv, client.environment(), kitchen.stop) as process:
        for raw in stops.lines(process):
            line = plain.readable(raw)
            last.append(line)
            kitchen.progress(BuildEvent("assets", "output", title, line=line))
    if process.returncode:
        raise _failure(kitchen, group, name, tuple(last))


def _failure(kitchen: Kitchen, group: Group, name: str, last: tuple[str, ...]) -> AssetsError:
    where = f"assets of {group.name}"
    asked = "{{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}"
    state = probe.call(kitchen.client, "inspect", "--format", asked, name)
    if state.returncode or not state.stdout.startswith("false"):
        hint = "is the Docker Engine running? systemctl status docker"
        message = "the Docker Engine went away while assets were compiled"
        return AssetsError(message, where=where, hint=hint, detail=last[-5:])
    _, code, killed, error = state.stdout.strip("\n").split(" ", 3)
    if error:
        message = "the Docker Engine cannot start the container that compiles assets"
        return AssetsError(message, where=where, hint="try again", detail=[error])
    command = shlex.join(group.settings.command)
    hints = {
        "126": "is it executable?",
        "127": f"the image has no {group.settings.command[0]!r}",
        "137": "it was killed: is there enough memory?",
    }
    hint = hints["137"] if killed == "true" else hints.get(code, "")
    message = f"`{command}` ended with {code}"
    hint = hint or f"in the image of this commit: docker build . and `docker run … {command}`"
    return AssetsError(message, where=where, hint=hint, detail=last)


def _taken(kitchen: Kitchen, group: Group, name: str) -> dict[str, Content]:
    """Return path (relative to WORKDIR) → content of all that the command left."""
    found: dict[str, Content] = {}
    for folder in group.settings.output:
        place = posixpath.normpath(posixpath.join(kitchen.workdir, folder))
        argv = [kitchen.client.program, "cp", f"{name}:{place}/.", "-"]
        with _streamed(kitchen, argv) as stream:
            taken = unpacked(stream, kitchen.store)
        found |= {posixpath.normpath(posixpath.join(folder, path)): c for path, c in taken.items()}
    if not found:
        raise AssetsError(
            f"`{shlex.join(group.settings.command)}` left nothing in "
            f"{', '.join(group.settings.output)}",
            where=f"assets of {group.name}",
            hint="is `output:` in kaiun.yml the folder that it fills, relative to WORKDIR?",
        )
    return found


def unpacked(stream: IO[bytes], store: Store) -> dict[str, Content]:
    """Keep the files of a tar stream; links count as what they lead to inside of it."""
    found: dict[str, Content] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                path = posixpath.normpath(member.name)
                if member.issym():
                    folder = posixpath.dirname(path)
                    links[path] = posixpath.normpath(posixpath.join(folder, member.linkname))
                elif member.islnk():
                    links[path] = posixpath.normpath(member.linkname)
                elif member.isfile() and (source := tar.extractfile(member)):
                    found[path] = store.add(source)  # type: ignore[arg-type]
    except tarfile.ReadError:
        if found:
            raise AssetsError("what was compiled did not arrive whole", hint="try again") from None
    return found | dict(_followed(links, found))


def _followed(
    links: Mapping[str, str], found: Mapping[str, Content]
) -> Iterator[tuple[str, Content]]:
    """Yield the files that links lead to, be it to the file or to a folder above it."""
    for link in links:
        target = link
        for _ in range(_LINKS_MAX):
            target = links.get(target, target)
        if target in found:
            yield link, found[target]
        inside = f"{target}/"
        for path, content in found.items():
            if path.startswith(inside) and not link.startswith(inside):
                yield posixpath.join(link, path.removeprefix(inside)), content


@contextmanager
def _streamed(kitchen: Kitchen, argv: list[str]) -> Iterator[IO[bytes]]:
    """Yield what a program writes; its complaints are not part of it."""
    with subprocess.Popen(
        argv,
        env=kitchen.client.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout  # noqa: S101 (asked for above)
        try:
            with kitchen.stop.calling(process.kill):
                yield process.stdout
        finally:
            process.kill()
    kitchen.stop.check()
