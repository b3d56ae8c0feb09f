"""Build an image in one step where the last build's lesson holds, which is seen afterwards.

The user's Dockerfile gets a last stage that adds kaiun's layer as it was, with the REVISION of this
commit. Where the lesson turns out not to hold, nothing is lost but the time of that stage: the
steps before it are in BuildKit's cache for the build that goes the whole way.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaiun.errors import ImageError, KaiunError
from kaiun.image import layer, leftovers, lesson, notebook, probe, startfile, tail
from kaiun.image.adaptation import rewritten, text_of
from kaiun.image.build import Recipe, build
from kaiun.image.lesson import Image, Lesson
from kaiun.image.registrycache import INLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kaiun.image.client import Client
    from kaiun.image.layer import Base, Layering
    from kaiun.image.layerassets import Assets
    from kaiun.image.probe import Found
    from kaiun.image.startfile import ImageFacts, Json

    # What is there of the assets, given what is known of the image; None if any is to be compiled.
    Stocked = Callable[[ImageFacts, Found], Assets | None]


_COPIED = "COPY / / # buildkit"  # in an image's history


@dataclass(frozen=True, slots=True)
class Carried:
    """The last build's lesson; its layer is an image by now."""

    lesson: Lesson
    layer: str


@dataclass(frozen=True, slots=True)
class Made:
    """The image that was made: by which recipe, and what the engine says of it."""

    recipe: Recipe
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """A build that may have a lesson. `image` is the name without the tag."""

    home: Path
    image: str
    recipe: Recipe
    layering: Layering
    carried: Future[Carried | None]
    later: Callable[..., object]  # calls a function with its arguments, some time

    @property
    def digest(self) -> str:
        recipe = self.recipe
        args = [each for each in recipe.args if each != INLINE]
        return notebook.recipe_digest(self.image, text_of(recipe), recipe.target, args)

    def attempt(self, stocked: Stocked) -> Made | None:
        """Return the image; None where the whole way is to be gone.

        Raises ImageError with the failed step of the user's Dockerfile; Interrupted.
        """
        carried = self.carried.result()
        if carried is None:
            return None
        try:
            return self._attempt(carried, stocked)
        finally:
            self.later(probe.untag, self.layering.client, carried.layer)

    def _attempt(self, carried: Carried, stocked: Stocked) -> Made | None:
        last = carried.lesson
        if self.recipe.no_cache or last.recipe != self.digest:
            return None
        end = tail.lines(carried.layer, last.facts.command)
        original, target = text_of(self.recipe), self.recipe.target
        below = tail.changing(original, target, last.ground.above)
        text = tail.appended(original, target, end, last.python, below)
        if text is None:
            return None
        try:
            return self._build(text, below, last, stocked)
        except ImageError:
            if self._has(carried.layer) and self._has(last.python):
                raise
            return None  # an image that the last stage takes from was removed meanwhile

    def learn(self, base: Base, labels: dict[str, str], python: str, assets: Assets) -> None:
        """Keep what this build, which went the whole way, learnt."""
        client = self.layering.client
        plain, made = (lesson.image(client, each) for each in (base.name, self.recipe.name))
        if not plain or not made or len(made.layers) - len(plain.layers) != 1 + bool(python):
            return
        document = startfile.document(self.layering.configs, base.facts, assets.items)
        surveyed = lesson.survey(plain, *depends_on(document, assets), base.facts, base.found)
        files = lesson.packed(made)
        if surveyed is None or files is None:
            return
        content = layer.digest(document, base.facts, assets)
        learnt = Lesson(self.digest, base.facts, base.found, python, content, labels, surveyed)
        notebook.keep(self.home, self.image, learnt, files)

    def _build(self, text: str, below: int, last: Lesson, stocked: Stocked) -> Made | None:
        """Build, and meanwhile work out what the layer would be made from today."""
        layering = self.layering
        args = tuple(each for each in self.recipe.args if each != INLINE)
        labels = {**self.recipe.labels, **last.labels}
        wanted = replace(self.recipe, args=args, labels=labels, target="")
        with ThreadPoolExecutor(1, "content") as pool, rewritten(wanted, text) as ours:
            content = pool.submit(self._content, last, stocked)
            build(layering.client, ours, progress=layering.progress, stop=layering.stop)
            made = lesson.image(layering.client, ours.name)
            plain = made and plain_of(made, last.python, below)
            if made and plain and lesson.holds(last, plain) and content.result() == last.content:
                return Made(ours, made.said)
        probe.untag(layering.client, self.recipe.name)
        return None

    def _content(self, last: Lesson, stocked: Stocked) -> str:
        """Return what the layer is made from now; "" where that is not known yet."""
        try:
            assets = stocked(last.facts, last.found)
        except KaiunError:
            return ""  # the whole way meets it again, and says so
        if assets is None:
            return ""
        document = startfile.document(self.layering.configs, last.facts, assets.items)
        return layer.digest(document, last.facts, assets)

    def _has(self, image: str) -> bool:
        return not image or self.layering.client.has_image(image)


def depends_on(document: Json, assets: Assets) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which files of the image the layer reads, keeps or replaces, and which folders."""
    arranged = startfile.files(document)
    baking = assets.baking
    placed = [*baking.settled, *baking.links] if baking else []
    files = {*arranged.sources, *arranged.originals, *arranged.links, *placed}
    trees = tuple(sorted(baking.trees)) if baking else ()
    return tuple(sorted(files)), trees


def carry(client: Client, home: Path, image: str, name: str, revision: str) -> Carried | None:
    """Recall the lesson of `image` and load its layer for the build of `name`; None without one."""
    known = notebook.recall(home, image)
    if known is None:
        return None
    layer_name = leftovers.layer_name(home, name)
    done = subprocess.run(
        [client.program, "image", "import", "-", layer_name],
        input=lesson.with_revision(known[1], revision),
        capture_output=True,
        env=client.environment(),
        check=False,
    )
    return Carried(known[0], layer_name) if done.returncode == 0 else None


def plain_of(made: Image, python: str, below: int) -> Image | None:
    """Return the image of the user's Dockerfile that `made` would be without what we added.

    Python's layer lies below some others. None where it is not there. BuildKit tells of a COPY
    without telling from where.
    """
    ours = range(len(tail.lines("layer", ())))
    top = len(made.layers) - 1
    if not python:
        return made.without({top}, ours)
    copies = [n for n, each in enumerate(made.history) if each == _COPIED and n not in ours]
    return made.without({top, top - 1 - below}, {*ours, copies[0]}) if copies else None
