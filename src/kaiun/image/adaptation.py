"""The user's Dockerfile as kaiun builds it: a copy outside of the context, changed where needed.

The commit's own file stays as it is, and so does the context, which may be copied into the image.
What was put in is taken out again of whatever the build prints (`Recipe.shown`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.image import caches, dockerfile, mounts
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from kaiun.image.build import Recipe
    from kaiun.image.events import Progress

_IGNORE = ".dockerignore"  # BuildKit looks for NAME.dockerignore beside the Dockerfile it is given


@dataclass(frozen=True, slots=True)
class Adapting:
    """Whose Dockerfile it is, and what the build goes without (caches.NAMES)."""

    home: Path
    app: str
    image: str
    no_cache: frozenset[str]
    progress: Progress


@contextmanager
def adapted(recipe: Recipe, adapting: Adapting) -> Iterator[Recipe]:
    """Yield the recipe to build: the same where nothing has to be changed."""
    original = recipe.context / recipe.dockerfile
    text = original.read_bytes().decode("utf-8", "surrogateescape")
    instructions = dockerfile.parse(text)
    names = _names(instructions, adapting)
    edits = list(mounts.edits(instructions, names))
    if not edits:
        yield recipe
        return
    with tempfile.TemporaryDirectory(prefix="kaiun-dockerfile-") as folder:
        copy = Path(folder) / original.name
        copy.write_bytes(dockerfile.edit(text, edits).encode("utf-8", "surrogateescape"))
        ignore = original.with_name(original.name + _IGNORE)
        if ignore.is_file():
            shutil.copyfile(ignore, copy.with_name(ignore.name))
        shown = {own: f"{mounts.PREFIX}{name}" for name, own in names.items()}
        yield replace(recipe, dockerfile=str(copy), shown=shown)


def _names(instructions: tuple[dockerfile.Instruction, ...], adapting: Adapting) -> dict[str, str]:
    """Return the id of each cache mount, after a new generation where that is asked for."""
    used = mounts.used(instructions)
    place = adapting.home, adapting.app, adapting.image
    wanted = adapting.no_cache & frozenset(caches.MOUNTS)
    if wanted & used:
        mounts.begin(*place, wanted & used)
    if (missing := wanted - used) and caches.LAYERS not in adapting.no_cache:
        ids = ", ".join(f"id={mounts.PREFIX}{name}" for name in sorted(missing))
        line = f"no step mounts a cache with {ids}: there is none to go without"
        adapting.progress(BuildEvent("note", "output", line=line))
    return mounts.ids(adapting.image, mounts.generations(*place)) if used else {}
