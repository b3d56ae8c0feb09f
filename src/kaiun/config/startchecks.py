"""Check what no single key of `start:` can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kaiun.config.environments import ENVIRONMENTS, LOCAL
from kaiun.config.places import Found, Node, Path
from kaiun.config.problems import nearest, suggestion
from kaiun.config.schema import Config
from kaiun.config.start import Fetch, Start, When

RESERVED = ("shell", "console", "tasks")
PLACEHOLDER = re.compile(r"(?<!\$)\$\{(?P<body>[^{}]*)")
VARIABLE = re.compile(r"[A-Za-z_]\w*(?::[-?].*)?", re.DOTALL)
OF_FILES = ("mode", "owner", "cache")
OF_HTTP = ("headers", "sha256")


def start(config: Config, tree: Node) -> Iterator[Found]:
    """Yield the problems of `start:` and of the names that it gives a meaning to."""
    yield from reserved(config, tree)
    where = tree.get("start")
    if where is None:
        return
    yield from variables(where)
    yield from targets(config.start, where)
    for index, fetch in enumerate(config.start.fetch):
        yield from fetched(fetch, where, ("fetch", index))
    for index, secret in enumerate(config.start.secrets):
        if secret.sign_key and secret.format != "yaml_vault":
            yield at(where, "secrets", index, "sign_key", message="has no meaning in this format")


def reserved(config: Config, tree: Node) -> Iterator[Found]:
    """Check that no process takes a word that means something else as a container's command."""
    for name in RESERVED:
        if name in config.processes:
            message = f"`docker run IMAGE {name}` has a meaning of its own"
            yield at(tree, "processes", name, message=message, hint="give it another name")


def fetched(fetch: Fetch, where: Node, path: Path) -> Iterator[Found]:
    """Check that a fetch has one target, and only the keys that its source and target take."""
    if (fetch.to is None) == (fetch.env is None):
        hint = "write `to: FILE` or `env: NAME`"
        yield at(where, *path, message="either a file or a variable", hint=hint)
    for key in OF_FILES:
        if fetch.to is None and key in fetch.model_fields_set:
            yield at(where, *path, key, message="needs `to:`", hint="remove it")
    for key in OF_HTTP:
        if not fetch.source.startswith("http") and key in fetch.model_fields_set:
            yield at(where, *path, key, message="is for https alone", hint="remove it")


def targets(given: Start, where: Node) -> Iterator[Found]:
    """Check that no two files are written to one place."""
    seen: list[tuple[str, str, When]] = []
    places = [("secrets", index, each.when) for index, each in enumerate(given.secrets)]
    places += [("templates", index, each.when) for index, each in enumerate(given.templates)]
    for (kind, index, when), (source, target) in zip(places, given.paths, strict=True):
        if kind == "templates" and source == target:
            hint = "name another file"
            message = "is the template itself"
            yield at(where, kind, index, "to", message=message, hint=hint)
        for other, same, also in seen:
            if same == target and together(when, also):
                message = f"{source} and {other} both become {target}"
                yield at(where, kind, index, message=message, hint="give one of them another `to:`")
        seen.append((source, target, when))


def together(one: When, other: When) -> bool:
    """Return whether both can apply in one container; a `when:` without names is everywhere."""
    pairs = ((one.environment, other.environment), (one.process, other.process))
    return all(not mine or not theirs or set(mine) & set(theirs) for mine, theirs in pairs)


def variables(node: Node) -> Iterator[Found]:
    """Check each `${…}`: here it is a variable of the container."""
    for leaf in node.leaves():
        if not isinstance(leaf.value, str):
            continue
        for match in PLACEHOLDER.finditer(leaf.value):
            body = match["body"]
            if not VARIABLE.fullmatch(body):
                kind, _, name = body.partition(":")
                hint = f"write `${{{name}}}`" if kind == "env" else _fetch(kind)
                message = f"'${{{body}}}' is no variable of the container"
                yield Found(leaf.at, leaf.path, message, hint)


def references(tree: Node) -> Iterator[Found]:
    """Check, over the whole file, the names under `when:`: somewhere there must be such a thing."""
    overlays = tree.get(ENVIRONMENTS)
    roots = [tree, *(overlays.items.values() if overlays else ())]
    environments = [LOCAL, *(overlays.items if overlays else ())]
    workloads = [
        name for root in roots for key in ("processes", "tasks") for name in _names(root, key)
    ]
    for root in roots:
        for step in _parts(root.get("start")):
            yield from _known(step.get("when", "process"), workloads, "process or task")
            yield from _known(step.get("when", "environment"), environments, "environment")


def at(tree: Node, *path: str | int, message: str, hint: str = "") -> Found:
    """Return a problem at `path`, or at what comes nearest to it in the file."""
    node, rest = nearest(tree, path)
    place = node.place if rest or isinstance(node.value, (dict, list)) else node.at
    return Found(place, (*node.path, *rest), message, hint)


def _fetch(kind: str) -> str:
    if kind in {"ssm", "secret"}:
        return "what AWS knows is read by `fetch:` when the container starts"
    return "a plain `${` is written `$${`"


def _names(root: Node, key: str) -> list[str]:
    node = root.get(key)
    return list(node.items) if node else []


def _parts(start: Node | None) -> Iterator[Node]:
    for step in start.items.values() if start else ():
        below = step.value if isinstance(step.value, list) else list(step.items.values())
        yield from (part for part in below if part.items)


def _known(node: Node | None, names: list[str], what: str) -> Iterator[Found]:
    if node is None:
        return
    for each in node.value if isinstance(node.value, list) else [node]:
        if isinstance(each.value, str) and each.value not in names:
            known = ", ".join(dict.fromkeys(names)) or "none"
            hint = suggestion(each.value, names, f"there are: {known}")
            yield Found(each.at, each.path, f"there is no {what} '{each.value}'", hint)
