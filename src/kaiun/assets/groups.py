"""Which environments share one compile. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.config.assets import Assets
    from kaiun.config.schema import Config


@dataclass(frozen=True, slots=True)
class Group:
    """Environments whose compiles would be the same. `settings` are those of the first."""

    settings: Assets
    environments: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the environments as people read them."""
        return ", ".join(filter(None, self.environments)) or "the top level"

    @property
    def recipe(self) -> str:
        """Return all of kaiun.yml that the result depends on, as JSON."""
        return recipe(self.settings)

    @property
    def key(self) -> str:
        """Return a short name of the recipe, the same from build to build."""
        return hashlib.sha256(self.recipe.encode()).hexdigest()[:16]


def recipe(given: Assets) -> str:
    """Return the settings that a compile's result depends on, as JSON."""
    return json.dumps(
        {
            "command": list(given.command),
            "output": list(given.output),
            "root": given.root,
            "env": dict(sorted(given.env.items())),
            "host": given.host or "",
            "inputs": sorted(given.inputs),
        },
        ensure_ascii=False,
    )


def grouped(configs: Mapping[str, Config]) -> list[Group]:
    """Return the compiles that kaiun.yml asks for, in its order.

    What nobody wrote (the top level alone, `local` where it is not mentioned) shares a compile
    where there is one of the same recipe, but is no reason for one; unless nothing was written.
    """
    wanted = {name: each for name, each in configs.items() if each.assets}
    named = {name for name, each in wanted.items() if not each.is_implied}
    if all(each.is_implied for each in configs.values()):
        named = set(wanted)
    by_recipe: dict[str, list[str]] = {}
    for name, config in wanted.items():
        if config.assets:
            by_recipe.setdefault(recipe(config.assets), []).append(name)
    return [
        Group(settings, tuple(names))
        for names in by_recipe.values()
        if named & set(names) and (settings := wanted[names[0]].assets)
    ]
