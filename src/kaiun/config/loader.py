"""Load kaiun.yml: read, merge, interpolate, validate, complete, check.

Every environment of the file is validated, not only the one that is asked for, so that a slip in
`staging` is seen on the laptop. Only the one asked for is interpolated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kaiun.config import document, environments, places, startchecks
from kaiun.config.interpolate import Lookup, Resolver, Sources, interpolate, kept, unresolved
from kaiun.config.places import Found, Node, NotYamlError, moved
from kaiun.config.schema import Config
from kaiun.config.source import discover, label, read
from kaiun.config.validation import validate
from kaiun.errors import ConfigError, ConfigErrors

# What they say is read elsewhere than here: in the container, and where the image is built.
ASIDE = ("start", "assets")


@dataclass(slots=True)
class Loading:
    """One file being loaded: its problems so far and where the placeholders are looked up."""

    file: Path
    sources: Sources
    found: list[Found] = field(default_factory=list)

    def errors(self) -> ConfigErrors:
        """Return all problems in the order of the file, each once."""
        where = label(self.file)
        unique = {(each.place, worded(each)): each for each in self.found}
        return ConfigErrors(
            [
                ConfigError(message, where=f"{where}:{place.line}:{place.column}", hint=each.hint)
                for (place, message), each in sorted(unique.items(), key=lambda item: item[0])
            ]
        )


def worded(found: Found) -> str:
    """Return the message of a problem, led by the path of its key."""
    path = "/".join(map(str, found.path))
    return f"{path}: {found.message}" if path else found.message


def load(
    path: Path | None,
    environment: str = "local",
    *,
    resolve: Resolver | None = None,
    revision: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration of one environment, with everything in place.

    Without a path, kaiun.yml is looked for from the working directory upwards. `revision` is the
    commit SHA for `${revision}`; without one the placeholder stays. Without `resolve`, so do those
    of AWS, and `Config.unresolved` names them. Raises ConfigErrors with every problem of the file.
    """
    file = path or discover(Path.cwd())
    variables = os.environ if environ is None else environ
    root = file.absolute().parent
    loading = Loading(file, Sources(root, variables, revision, resolve))
    text = read(file)
    try:
        tree = document.shaped(places.parse(text, loading.found), loading.found)
    except NotYamlError as error:
        loading.found.append(error.found)
        raise loading.errors() from None
    config = examined(tree, environment, loading)
    if loading.found or config is None:
        raise loading.errors()
    return config


def every(file: Path, text: str | None = None) -> dict[str, Config]:
    """Return the configuration of each environment, placeholders kept; "" is the top level alone.

    `text` takes the place of the file's content: a commit's. Raises ConfigErrors.
    """
    root = file.absolute().parent
    loading = Loading(file, Sources(root, {}))
    try:
        parsed = places.parse(read(file) if text is None else text, loading.found)
        tree = document.shaped(parsed, loading.found)
    except NotYamlError as error:
        loading.found.append(error.found)
        raise loading.errors() from None
    configs = {}
    for name in ("", *environments.declared(tree)):
        selected = environments.selected(tree, name) if name else top(tree)
        node = aside(selected, lambda rest: kept(rest, loading.found))
        problems = loading.found if name else []  # an environment may add what is missing
        config = validate(document.written(node), name, root, problems)
        if config is not None:
            implied = not environments.is_declared(tree, name)
            configs[name] = config.model_copy(update={"is_implied": implied})
    if loading.found:
        raise loading.errors()
    return configs


def top(tree: Node) -> Node:
    """Return the file without its environments."""
    return without(tree, (environments.ENVIRONMENTS,))


def examined(tree: Node, environment: str, loading: Loading) -> Config | None:
    """Return the configuration of one environment, having looked at all of them."""
    names = environments.declared(tree)
    loading.found += startchecks.references(tree)
    if environment not in names:
        loading.found.append(document.undeclared(tree, environment))
    config = None
    for name in names:
        if name == environment:
            config = chosen(tree, name, loading)
        elif environments.is_declared(tree, name):
            node = aside(environments.selected(tree, name), lambda rest: kept(rest, loading.found))
            validate(document.written(node), name, loading.sources.root, loading.found)
    return config


def chosen(tree: Node, name: str, loading: Loading) -> Config | None:
    """Return the environment that was asked for, its placeholders replaced."""
    selected = environments.selected(tree, name)
    lookups: list[Lookup] = []

    def fill(rest: Node) -> Node:
        filled, lookup = interpolate(rest, loading.sources, loading.found)
        lookups.append(lookup)
        return filled

    node = aside(selected, fill)
    config = validate(document.written(node), name, loading.sources.root, loading.found)
    if config is None:
        return None
    bare = without(node, ASIDE)
    secrets, file = lookups[0].secrets(), loading.file.name
    update = {"unresolved": unresolved(bare), "sensitive": secrets, "file": file}
    return config.model_copy(update=update)


def aside(tree: Node, change: Callable[[Node], Node]) -> Node:
    """Return the tree changed but for the sections whose `${…}` are not ours to fill."""
    rest = change(without(tree, ASIDE))
    kept = {key: tree.items[key] for key in ASIDE if key in tree.items}
    return moved(rest, {**rest.items, **kept}) if kept else rest


def without(tree: Node, keys: Sequence[str]) -> Node:
    """Return the mapping without some of its keys."""
    return moved(tree, {key: each for key, each in tree.items.items() if key not in keys})
