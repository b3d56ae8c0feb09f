"""Cache mounts that kaiun knows by their ids, such as `--mount=type=cache,id=kaiun-bundle,…`.

In the build each becomes one of its image's own, `kaiun-shop-bundle-1`: apps do not share it, and
the number, its generation, goes up when a build goes without it. So the old content is left behind,
steps that mount it run again (the id is part of BuildKit's key), and later builds carry on the new.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun import files
from kaiun.image.caches import MOUNTS
from kaiun.image.dockerfile import Edit
from kaiun.image.lock import unwritable

if TYPE_CHECKING:
    from kaiun.image.dockerfile import Instruction

PREFIX = "kaiun-"
FIRST = 1
_ID = re.compile(rf"(?<=[,=\"'])id=[\"']?({PREFIX}({'|'.join(MOUNTS)}))(?=[,\"']|$)")
_OWN = re.compile(rf"{PREFIX}(?P<image>.+)-(?P<cache>{'|'.join(MOUNTS)})-(?P<generation>\d+)")


def used(instructions: Iterable[Instruction]) -> frozenset[str]:
    """Return the caches that a Dockerfile mounts under kaiun's names: {"bundle", "npm"}."""
    return frozenset(found[2] for _, _, found in _ids(instructions))


def edits(instructions: Iterable[Instruction], ids: Mapping[str, str]) -> Iterator[Edit]:
    """Yield what gives each such mount the id in `ids`, by the cache's name."""
    for instruction, at, found in _ids(instructions):
        start = instruction.offset(at + found.start(1))
        yield Edit(start, instruction.offset(at + found.end(1) - 1) + 1, ids[found[2]])


def ids(image: str, generations: Mapping[str, int]) -> dict[str, str]:
    """Return each cache's id: {"bundle": "kaiun-shop-bundle-1"}."""
    return {name: f"{PREFIX}{image}-{name}-{generations.get(name, FIRST)}" for name in MOUNTS}


def parse(own: str) -> tuple[str, str, int] | None:
    """Return image, cache and generation of an id that `ids` made, None for any other."""
    found = _OWN.fullmatch(own)
    return (found["image"], found["cache"], int(found["generation"])) if found else None


def read(written: Mapping[str, str], line: str) -> str:
    """Return a line of the build with the ids that the user wrote in place of kaiun's."""
    for own, theirs in written.items():
        line = line.replace(own, theirs)
    return line


def folder(home: Path, app: str) -> Path:
    """Return where an app's caches are kept and noted down."""
    return home / "caches" / app


def every(home: Path, app: str) -> dict[str, bool]:
    """Return the ids of all generations of an app's cache mounts, and which ones are in use."""
    known = {}
    for file in sorted((folder(home, app) / "mounts").glob("*.json")):
        for name, now in generations(home, app, file.stem).items():
            for generation in range(FIRST, now + 1):
                own = f"{PREFIX}{file.stem}-{name}-{generation}"
                known[own] = generation == now
    return known


def generations(home: Path, app: str, image: str) -> dict[str, int]:
    """Return the generation of each cache that builds of an image have used so far."""
    try:
        found = json.loads(_file(home, app, image).read_text())
    except (FileNotFoundError, ValueError):
        return {}  # half a file, or none: at worst an old cache is carried on
    return {name: value for name, value in found.items() if isinstance(value, int)}


def use(
    home: Path, app: str, image: str, names: Iterable[str], anew: Iterable[str] = ()
) -> dict[str, int]:
    """Return the generation of each of the caches that a build uses, a new one of those `anew`.

    Raises ImageError when that cannot be kept.
    """
    now = generations(home, app, image)
    after = dict.fromkeys(names, FIRST) | now
    after |= {name: after[name] + 1 for name in anew}
    if after != now:
        _keep(home, app, image, after)
    return after


def _keep(home: Path, app: str, image: str, after: Mapping[str, int]) -> None:
    file = _file(home, app, image)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, json.dumps(after, indent=1, sort_keys=True) + "\n")
    except OSError as problem:
        raise unwritable(file, problem) from problem


def _file(home: Path, app: str, image: str) -> Path:
    return folder(home, app) / "mounts" / f"{image}.json"


def _ids(
    instructions: Iterable[Instruction],
) -> Iterator[tuple[Instruction, int, re.Match[str]]]:
    for instruction in instructions:
        for flag in instruction.flags if instruction.keyword == "RUN" else ():
            found = _ID.search(flag.text)
            if found and flag.text.startswith("--mount=") and "type=cache" in flag.text:
                yield instruction, flag.at, found
