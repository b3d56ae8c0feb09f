"""Layers that are kept in the registry, for build hosts that come and go.

The plain image is pushed once more as REPOSITORY:cache, and every stage that it copies from as
REPOSITORY:cache-STAGE, each with BuildKit's inline cache in its configuration: which steps its
layers come from. A later build on an empty host takes the layers of unchanged steps from there.
Inline is what Docker Engine's own BuildKit can write, before and with buildx; it describes an
image's own layers only, hence an image for each stage.
Source: docs.docker.com/build/cache/backends/inline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kaiun.image import dockerfile, probe
from kaiun.image.adaptation import text_of
from kaiun.image.build import Recipe, build
from kaiun.image.events import silent

if TYPE_CHECKING:
    from kaiun.image.client import Client
    from kaiun.image.reference import Reference
    from kaiun.image.stop import Stop

TAG = "cache"
INLINE = ("BUILDKIT_INLINE_CACHE", "1")
Push = Callable[["Reference"], object]


@dataclass(frozen=True, slots=True)
class Kept:
    """The images that hold the cache: tag → the stage that it is of."""

    target: Reference
    stages: dict[str, str]

    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.target.name}:{tag}" for tag in self.stages)

    def importing(self, recipe: Recipe) -> Recipe:
        """Return the recipe that takes layers from the registry and notes its own steps down."""
        names = () if recipe.no_cache else self.names()
        return replace(recipe, cache_from=names, args=(*recipe.args, INLINE))

    def export(self, client: Client, recipe: Recipe, push: Push, stop: Stop) -> None:
        """Push the images. Every step is in BuildKit's cache by now: nothing is built again.

        Raises ImageError; the image itself is pushed by then.
        """
        for (tag, stage), name in zip(self.stages.items(), self.names(), strict=True):
            again = replace(recipe, name=name, target=stage, no_cache=False, cache_from=())
            try:
                build(client, again, progress=silent, stop=stop)
                push(replace(self.target, tag=tag))
            finally:
                probe.untag(client, name)


def of(recipe: Recipe, target: Reference) -> Kept:
    """Return the images that hold the cache of a Dockerfile."""
    instructions = dockerfile.parse(text_of(recipe))
    copied = dockerfile.copied_from(instructions, recipe.target.lower())
    return Kept(target, {TAG: recipe.target, **{f"{TAG}-{name}": name for name in copied}})
