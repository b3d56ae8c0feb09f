"""The caches that are carried from build to build, and the names by which a build goes without.

layers   the results of the Dockerfile's steps, which BuildKit keeps; with them go all cache mounts
assets   what the asset compiler keeps between two compiles
others   cache mounts of the Dockerfile, known by their ids: `kaiun-bundle`, `kaiun-npm`, …
"""

from __future__ import annotations

from collections.abc import Iterable

from kaiun.errors import UsageError

LAYERS = "layers"
ASSETS = "assets"
MOUNTS = ("bundle", "npm", "yarn", "pnpm", "apt")
ALL = "all"
NAMES = (LAYERS, ASSETS, *MOUNTS)
EVERY = frozenset(NAMES)


def parse(given: Iterable[str]) -> frozenset[str]:
    """Return the caches that a build goes without: ("bundle,assets", "npm") → all three.

    "all" stands for every one. Raises UsageError for a name that is none.
    """
    names = frozenset(name.strip() for text in given for name in text.split(","))
    if unknown := sorted(names - EVERY - {ALL}):
        raise UsageError(
            f"no such cache: {', '.join(unknown)}",
            hint=f"--no-cache for all, or a list of: {', '.join(NAMES)}",
        )
    return EVERY if ALL in names else names
