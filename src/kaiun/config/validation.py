"""Validate one merged environment, and go on after a problem so that all of them are told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from kaiun.config import checks, defaults, interpolate, problems
from kaiun.config.places import Found, Node, Plain
from kaiun.config.places import Path as Steps
from kaiun.config.problems import Detail
from kaiun.config.schema import Config, Environment

PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


def validate(node: Node, environment: str, root: Path, found: list[Found]) -> Config | None:
    """Return the configuration of a merged environment; its problems are added to `found`.

    Values that cannot be used are left out, and the rest is checked all the same. None is
    returned where nothing can be made of the rest.
    """
    plain = node.plain()
    given, details = _model(plain)
    told = [problems.told(each, node) for each in details]
    found += [problem for problem, about in told if not is_open(about)]
    if given is None:
        given, _ = _model(_without(plain, [each["loc"] for each in details]))
    if given is None:
        found += [problem for problem, about in told if is_open(about)]
        return None
    config = defaults.complete(given, environment, root)
    bad = {problems.section(problem.path) for problem, _ in told}
    found += [each for each in checks.check(config, node) if not doubtful(each.path, bad)]
    return config


def is_open(node: Node) -> bool:
    """Return whether the value is a placeholder that has not been filled."""
    return bool(node.source) and bool(list(interpolate.placeholders(node)))


def doubtful(path: Steps, bad: set[Steps]) -> bool:
    """Return whether a check's finding may be due to a value that was left out."""
    return problems.section(path) in bad or ("launch_type",) in bad


def _model(plain: Plain) -> tuple[Environment | None, list[Detail]]:
    try:
        with no_plugins():
            return Environment.model_validate(plain), []
    except ValidationError as error:
        return None, cast("list[Detail]", error.errors(include_url=False))


def _without(plain: Plain, locs: Sequence[Steps]) -> Plain:
    for loc in locs:
        steps = [step for step in loc if not str(step).startswith(("<", "[key]"))]
        plain = _pruned(plain, steps)
    return plain


def _pruned(plain: Plain, steps: Sequence[int | str]) -> Plain:
    """Return `plain` without what stands at `steps`; a list is left out as a whole."""
    if not isinstance(plain, dict) or not steps or steps[0] not in plain:
        return plain
    name = str(steps[0])
    below = plain[name]
    if len(steps) == 1 or not isinstance(below, dict):
        return {key: value for key, value in plain.items() if key != name}
    return {**plain, name: _pruned(below, steps[1:])}


@contextmanager
def no_plugins() -> Iterator[None]:
    """Keep pydantic from searching all installed packages for plugins: it takes 20 ms."""
    before = os.environ.get(PLUGINS)
    os.environ[PLUGINS] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PLUGINS]
        else:
            os.environ[PLUGINS] = before
