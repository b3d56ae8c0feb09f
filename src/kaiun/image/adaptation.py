"""The user's Dockerfile as kaiun builds it: a copy outside of the context, changed where needed.

The commit's own file stays as it is, and so does the context, which may be copied into the image.
What was put in is taken out again of whatever the build prints (`Recipe.read`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.image import caches, dockerfile, mounts, shim
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from kaiun.image.build import Recipe
    from kaiun.image.client import Client
    from kaiun.image.dockerfile import Edit, Instruction
    from kaiun.image.events import Progress
    from kaiun.image.stop import Stop

    Instructions = tuple[Instruction, ...]

Reader = Callable[[str], str]
_IGNORE = ".dockerignore"  # BuildKit looks for NAME.dockerignore beside the Dockerfile it is given


@dataclass(frozen=True, slots=True)
class Adapting:
    """Whose Dockerfile it is, for which CPU, and what the build goes without.

    `cpu` is one of cpu.shim.TARGETS, "" for a build without the shim; `no_cache` are names of
    caches.NAMES.
    """

    home: Path
    app: str
    image: str
    cpu: str
    no_cache: frozenset[str]
    client: Client
    progress: Progress
    stop: Stop

    def tell(self, line: str) -> None:
        self.progress(BuildEvent("note", "output", line=line))


@contextmanager
def adapted(recipe: Recipe, adapting: Adapting) -> Iterator[Recipe]:
    """Yield the recipe to build: the same where nothing has to be changed."""
    text = text_of(recipe)
    instructions = dockerfile.parse(text)
    edits: list[Edit] = []
    readers = [_caches(instructions, adapting, edits), _shim(instructions, adapting, edits)]
    if not edits:
        yield recipe
        return

    def read(line: str) -> str:
        for reader in readers:
            line = reader(line)
        return line

    with rewritten(recipe, dockerfile.edit(text, edits)) as ours:
        yield replace(ours, read=read)


@contextmanager
def rewritten(recipe: Recipe, text: str) -> Iterator[Recipe]:
    """Yield the recipe with another text for its Dockerfile, in a file that ends with the block."""
    original = recipe.context / recipe.dockerfile
    with tempfile.TemporaryDirectory(prefix="kaiun-dockerfile-") as folder:
        copy = Path(folder) / original.name
        copy.write_bytes(text.encode("utf-8", "surrogateescape"))
        ignore = original.with_name(original.name + _IGNORE)
        if ignore.is_file():
            shutil.copyfile(ignore, copy.with_name(ignore.name))
        yield replace(recipe, dockerfile=str(copy))


def text_of(recipe: Recipe) -> str:
    """Return the text of the Dockerfile that is built; odd bytes survive in it."""
    return (recipe.context / recipe.dockerfile).read_bytes().decode("utf-8", "surrogateescape")


def _caches(instructions: Instructions, adapting: Adapting, edits: list[Edit]) -> Reader:
    """Give the cache mounts their ids, of a new generation where that is asked for."""
    used = mounts.used(instructions)
    wanted = adapting.no_cache & frozenset(caches.MOUNTS)
    if (missing := wanted - used) and caches.LAYERS not in adapting.no_cache:
        ids = ", ".join(f"id={mounts.PREFIX}{name}" for name in sorted(missing))
        adapting.tell(f"no step mounts a cache with {ids}: there is none to go without")
    if not used:
        return str
    place = adapting.home, adapting.app, adapting.image
    names = mounts.ids(adapting.image, mounts.use(*place, used, wanted & used))
    edits.extend(mounts.edits(instructions, names))
    return partial(mounts.read, {own: f"{mounts.PREFIX}{name}" for name, own in names.items()})


def _shim(instructions: Instructions, adapting: Adapting, edits: list[Edit]) -> Reader:
    """Bring the compiler shim into every RUN, where a baseline is given."""
    if not adapting.cpu or not any(each.keyword == "RUN" for each in instructions):
        return str
    name = shim.image(adapting.client, adapting.cpu, adapting.stop)
    for each in shim.edits(instructions, name):
        if isinstance(each, str):
            adapting.tell(each)
        else:
            edits.append(each)
    return shim.reader(name, adapting.cpu)
