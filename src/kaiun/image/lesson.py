"""What a build of an image learnt, kept so that the next one can be a single step.

A build looks into the image of the user's Dockerfile, has kaiun's layer made inside of it and
looks at that again: two builds and a container. As long as nothing but the app's own files
changes, all of this comes out the same. So it is kept (notebook.py), the layer's files too,
together with what it depends on; whether it still holds is seen in the image that it made.

Reading layers needs overlayfs and root; elsewhere nothing is learnt.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaiun.image import guard, overlay, probe

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from kaiun.image.client import Client
    from kaiun.image.guard import Guard
    from kaiun.image.probe import Found
    from kaiun.image.startfile import ImageFacts

REVISION = "opt/kaiun/REVISION"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What holds for every image that `recipe` makes while `ground` stays."""

    recipe: str  # digest of the Dockerfile and of what else goes into the build
    facts: ImageFacts
    found: Found
    python: str  # the image that holds Python, "" where the app's has one
    content: str  # digest of what kaiun's layer was made from
    labels: Mapping[str, str]
    ground: Ground


@dataclass(frozen=True, slots=True)
class Ground:
    """The image of the user's Dockerfile, as far as kaiun's layer depends on it."""

    layers: tuple[str, ...]  # diff ids, all but those on top that hold the app's files alone
    states: Mapping[str, str]  # of the files that the layer keeps or replaces, in those on top
    history: str  # digest of its instructions, which may show build arguments
    above: int  # how many layers are on top
    files: tuple[str, ...]  # which files these are, relative to WORKDIR
    trees: tuple[str, ...]  # and folders, whose content matters


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the engine; `folders` are where its layers can be read, if they can."""

    said: Mapping[str, Any]  # by docker image inspect
    layers: tuple[str, ...]  # diff ids, the lowest first
    history: tuple[str, ...]  # instructions, the newest first
    folders: Mapping[str, Path] | None

    def without(self, layers: Collection[int], instructions: Collection[int]) -> Image:
        """Return the image without some of its layers and instructions, by their numbers."""
        return replace(
            self,
            layers=tuple(each for n, each in enumerate(self.layers) if n not in layers),
            history=tuple(each for n, each in enumerate(self.history) if n not in instructions),
        )


def image(client: Client, name: str) -> Image | None:
    """Return an image of the engine, None where it has none of that name."""
    history = ("image", "history", "--no-trunc", "--format={{.CreatedBy}}", name)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(probe.call, client, *history)
        found = probe.said(client, name)
        told = asked.result()
    if found is None or told.returncode:
        return None
    layers = tuple(found["RootFS"].get("Layers") or ())
    folders = overlay.folders(found, layers)
    return Image(found, layers, tuple(told.stdout.splitlines()), folders)


def survey(
    plain: Image,
    files: tuple[str, ...],
    trees: tuple[str, ...],
    facts: ImageFacts,
    found: Found,
) -> Ground | None:
    """Return what `plain` is for a layer that depends on such files and folders.

    None where its layers cannot be read.
    """
    if plain.folders is None:
        return None
    watch = _guard(files, trees, facts, found)
    on_top: list[Mapping[str, str]] = []
    layers = list(plain.layers)
    while layers and (states := watch.states(plain.folders[layers[-1]])) is not None:
        on_top.append(states)
        layers.pop()
    states, history = guard.joined(on_top), _digest(plain.history)
    return Ground(tuple(layers), states, history, len(on_top), files, trees)


def holds(lesson: Lesson, plain: Image) -> bool:
    """Return whether `plain`, of the same recipe, is in all that matters as it was."""
    ground, facts = lesson.ground, lesson.facts
    bottom = len(ground.layers)
    config = plain.said["Config"]
    same = (
        (config.get("User") or "", config.get("WorkingDir") or "/", tuple(config.get("Env") or ()))
        == (facts.user, facts.workdir, facts.variables)
        and _digest(plain.history) == ground.history
        and plain.layers[:bottom] == ground.layers
    )
    if not same or plain.folders is None:
        return False
    watch = _guard(ground.files, ground.trees, facts, lesson.found)
    states = [watch.states(plain.folders[each]) for each in reversed(plain.layers[bottom:])]
    return None not in states and guard.joined(filter(None, states)) == ground.states


def packed(made: Image) -> bytes | None:
    """Return the topmost layer of an image as a tar, without REVISION.

    None where it cannot be read, or takes away something of what is below it.
    """
    if made.folders is None:
        return None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        top = made.folders[made.layers[-1]]
        for path in sorted(top.rglob("*")):
            inside = path.relative_to(top)
            if path.is_char_device() or (path.is_dir() and guard.is_opaque(path)):
                return None
            if str(inside) != REVISION:
                tar.add(path, str(inside), recursive=False)
    return buffer.getvalue()


def with_revision(layer: bytes, revision: str) -> bytes:
    """Return the tar of the layer with the REVISION of a commit, as its first entry."""
    data = f"{revision}\n".encode()
    entry = tarfile.TarInfo(REVISION)
    entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
    return entry.tobuf(tarfile.PAX_FORMAT) + data.ljust(tarfile.BLOCKSIZE, b"\0") + layer


def _guard(
    files: tuple[str, ...], trees: tuple[str, ...], facts: ImageFacts, found: Found
) -> Guard:
    made = guard.of(facts.workdir, facts.variables, found.python, files)
    return replace(made, places=made.places | frozenset(trees))


def _digest(history: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(history).encode()).hexdigest()
