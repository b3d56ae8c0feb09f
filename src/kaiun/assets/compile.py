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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

from kaiun.assets import carried, collect, spare
from kaiun.assets.collect import Content
from kaiun.errors import AssetsError
from kaiun.image import client as clients
from kaiun.image import leftovers, plain, probe
from kaiun.image import stop as stops
from kaiun.image.events import BuildEvent
from kaiun.image.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kaiun.assets.groups import Group
    from kaiun.assets.manifest import AssetManifest
    from kaiun.assets.store import Store
    from kaiun.image.client import Client
    from kaiun.image.events import Progress

# What Rails asks for at boot though compiling needs none of it. Nothing here is a secret.
DUMMIES = {"SECRET_KEY_BASE_DUMMY": "1", "SECRET_KEY_BASE": "0" * 64}
_KEPT_LINES = 20
_LINKS_MAX = 8  # of links that lead to links

Later = Callable[[Callable[[Stop], object]], object]


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
    later: Later  # does what nobody needs to wait for


@dataclass(frozen=True, slots=True)
class Attempt:
    """One compile, in a container of this name."""

    kitchen: Kitchen
    group: Group
    cache: carried.Cache
    beginning: carried.Beginning
    name: str

    @property
    def where(self) -> str:
        return f"assets of {self.group.name}"

    @property
    def command(self) -> str:
        return shlex.join(self.group.settings.command)

    def clear(self, stop: Stop, *, ahead: bool) -> None:
        """Take the container away, and the volumes of a cache that was not accepted.

        `ahead`: a copy of what was accepted is made for the next compile.
        """
        kitchen, cache = self.kitchen, self.cache
        spare.release(cache, self.beginning.volumes)
        try:
            if ahead:
                other = leftovers.compile_name(kitchen.home, kitchen.build)
                spare.make(cache, kitchen.image, other, stop)
        finally:
            probe.call(kitchen.client, "rm", "--force", "--volumes", self.name)
            cache.sweep()


def compile_assets(
    kitchen: Kitchen, group: Group, digest: str, cache: carried.Cache, *, fresh: bool
) -> AssetManifest:
    """Run the group's command; return what it left, its contents in the store.

    `fresh` begins with an empty cache. The cache is carried on only when all went well.
    Raises AssetsError with the command's last lines; Interrupted when asked to stop.
    """
    began = time.monotonic()
    name = leftovers.compile_name(kitchen.home, kitchen.build)
    attempt = Attempt(kitchen, group, cache, spare.begin(cache, fresh=fresh), name)
    accepted = False
    try:
        _run(attempt)
        output = _taken(attempt)
        cache.accept(attempt.beginning.volumes)
        accepted = True
    finally:
        kitchen.later(partial(attempt.clear, ahead=accepted))
    seconds = time.monotonic() - began
    kitchen.progress(BuildEvent("assets", "done", attempt.where, seconds=seconds))

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


def _run(attempt: Attempt) -> None:
    """Run the command to its end. Raises AssetsError unless it ends well."""
    kitchen = attempt.kitchen
    title = f"{attempt.where}: {attempt.command}"
    kitchen.progress(BuildEvent("assets", "started", title))
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    argv, environ = _container(attempt)
    with stops.child(argv, kitchen.client.environment() | environ, kitchen.stop) as process:
        for raw in stops.lines(process):
            line = plain.readable(raw)
            last.append(line)
            kitchen.progress(BuildEvent("assets", "output", title, line=line))
    if process.returncode:
        raise _failure(attempt, tuple(last))


def _container(attempt: Attempt) -> tuple[list[str], dict[str, str]]:
    """Return the words that run the container, and the variables that these pass on."""
    kitchen, group = attempt.kitchen, attempt.group
    cache, beginning = attempt.cache, attempt.beginning
    options, environ = clients.passed("--env", environment(group, kitchen.variables).items())
    script = carried.script(beginning, cache.folders, group.settings.inputs)
    argv = [
        kitchen.client.program, "run", f"--name={attempt.name}", "--user=0:0",
        f"--workdir={kitchen.workdir}", "--entrypoint=/bin/sh",
        *cache.mounts(beginning.volumes, beginning.seed), *options,
        kitchen.image, "-c", script, "kaiun", *group.settings.command,
    ]  # fmt: skip
    return argv, environ


def _failure(attempt: Attempt, last: tuple[str, ...]) -> AssetsError:
    asked = "{{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}"
    state = probe.call(attempt.kitchen.client, "inspect", "--format", asked, attempt.name)
    if state.returncode and "No such" in state.stderr:
        message = "there is no container to compile assets in"
        return AssetsError(message, where=attempt.where, detail=last[-3:])
    if state.returncode or not state.stdout.startswith("false"):
        hint = "is the Docker Engine running? systemctl status docker"
        message = "the Docker Engine went away while assets were compiled"
        return AssetsError(message, where=attempt.where, hint=hint, detail=last[-5:])
    _, code, killed, error = state.stdout.strip("\n").split(" ", 3)
    if error:
        message = "the Docker Engine cannot start the container that compiles assets"
        return AssetsError(message, where=attempt.where, hint="try again", detail=[error])
    hints = {
        "126": "is it executable?",
        "127": f"the image has no {attempt.group.settings.command[0]!r}",
        "137": "it was killed: is there enough memory?",
    }
    hint = hints["137"] if killed == "true" else hints.get(code, "")
    message = f"`{attempt.command}` ended with {code}"
    hint = (
        hint or f"in the image of this commit: docker build . and `docker run … {attempt.command}`"
    )
    return AssetsError(message, where=attempt.where, hint=hint, detail=last)


def _taken(attempt: Attempt) -> dict[str, Content]:
    """Return path (relative to WORKDIR) → content of all that the command left."""
    kitchen, group = attempt.kitchen, attempt.group
    found: dict[str, Content] = {}
    for folder in group.settings.output:
        place = posixpath.normpath(posixpath.join(kitchen.workdir, folder))
        argv = [kitchen.client.program, "cp", f"{attempt.name}:{place}/.", "-"]
        with _streamed(kitchen, argv) as stream:
            taken = unpacked(stream, kitchen.store)
        found |= {posixpath.normpath(posixpath.join(folder, path)): c for path, c in taken.items()}
    if not found:
        raise AssetsError(
            f"`{attempt.command}` left nothing in {', '.join(group.settings.output)}",
            where=attempt.where,
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
