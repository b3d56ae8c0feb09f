"""The shape of the file around the models: environments, shorthands, text as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kaiun.config.environments import ENVIRONMENTS, LOCAL
from kaiun.config.fields import NAME, NAME_EXPECTED
from kaiun.config.places import Found, Node, NotYamlError, moved
from kaiun.config.problems import show, suggestion

Spec = Mapping[str, "Spec | None"]

WORKLOAD: Spec = {
    "env": None,
    "secrets": None,
    "command": None,
    "entrypoint": None,
    "image": {"args": None},
    "health": {"command": None, "matcher": None},
}
WRITTEN: Spec = {
    "env": None,
    "secrets": None,
    "image": {"args": None},
    "assets": {"command": None, "env": None},
    "logs": {"options": None},
    "processes": {"*": {**WORKLOAD, "with": {"*": {"command": None}}}},
    "start": {
        "fetch": {"mode": None, "headers": None},
        "secrets": {"mode": None, "options": None},
        "templates": {"mode": None, "check": None},
        "hooks": {"*": {"command": None}},
        "console": None,
    },
    "tasks": {"*": WORKLOAD},
}


def shaped(root: Node, found: list[Found]) -> Node:
    """Return the file with its environments in order and its shorthands written out.

    Raises NotYamlError where it is no mapping at all.
    """
    if not isinstance(root.value, dict):
        message = f"expected a mapping (`key: value`), got {show(root)}"
        raise NotYamlError(Found(root.at, (), message, "begin with `app: NAME`"))
    members = dict(root.items)
    if local := members.pop("local", None):
        hint = "write it under `environments/NAME`"
        found.append(Found(local.place, local.path, "belongs to an environment", hint))
    if environments := members.pop(ENVIRONMENTS, None):
        members[ENVIRONMENTS] = _environments(environments, found)
    return _expanded(moved(root, members))


def _environments(node: Node, found: list[Found]) -> Node:
    if not isinstance(node.value, dict):
        message = f"expected a mapping of environments, got {show(node)}"
        found.append(Found(node.at, node.path, message, "write `environments: {staging: {…}}`"))
        return moved(node, {})
    return moved(node, {name: _overlay(name, each, found) for name, each in node.items.items()})


def _overlay(name: str, node: Node, found: list[Found]) -> Node:
    if not NAME.fullmatch(name):
        message = f"{NAME_EXPECTED}, got '{name}'"
        found.append(Found(node.place, node.path, message))
    if not isinstance(node.value, (dict, type(None))):
        message = f"expected a mapping (`key: value`), got {show(node)}"
        found.append(Found(node.at, node.path, message))
    members = dict(node.items)
    for key in ("app", ENVIRONMENTS):
        if fixed := members.pop(key, None):
            message = "is the same in every environment" if key == "app" else "cannot be nested"
            found.append(Found(fixed.place, fixed.path, message, f"move `{key}` to the top level"))
    if name == LOCAL and (local := members.get("local")) and local.value is False:
        message = "the environment named 'local' is always the local ECS"
        found.append(Found(local.at, local.path, message, "give the environment another name"))
    return _expanded(moved(node, members))


def _expanded(node: Node) -> Node:
    """Return the node with `health: /up` written as `health: {path: /up}`, ready to be merged."""
    processes = node.get("processes")
    if processes is None or not isinstance(processes.value, dict):
        return node
    members = {name: _health(process) for name, process in processes.value.items()}
    return moved(node, {**node.items, "processes": moved(processes, members)})


def _health(process: Node) -> Node:
    health = process.get("health")
    if health is None or not isinstance(health.value, str):
        return process
    return moved(process, {**process.items, "health": moved(health, {"path": health})})


def written(node: Node, spec: Spec | None = WRITTEN) -> Node:
    """Return the node with numbers and the like as text, where only text is meant.

    Variables, secrets, build arguments, log options and arguments of commands are what stands
    in the file to the letter: `1.10` stays 1.10, `no` stays no, `0755` stays 0755.
    """
    if isinstance(node.value, dict):
        below = {name: _spec(spec, name) for name in node.value}
        return moved(
            node,
            {
                name: written(each, below[name]) if spec is None or below[name] != {} else each
                for name, each in node.value.items()
            },
        )
    if isinstance(node.value, list) and spec != {}:
        return moved(node, [written(each, spec) for each in node.value])
    if spec is not None:
        return node
    if isinstance(node.value, (int, float)):
        return replace(node, value=node.text)
    return node


def _spec(spec: Spec | None, name: str) -> Spec | None:
    return None if spec is None else spec.get(name, spec.get("*", {}))


def undeclared(root: Node, environment: str) -> Found:
    """Tell that an environment is not in the file, and which ones are."""
    node = root.get(ENVIRONMENTS)
    names = list(dict.fromkeys([LOCAL, *(node.items if node else {})]))
    known = f"declared: {', '.join(names)}"
    hint = suggestion(environment, names)
    place = node.place if node else root.at
    message = f"the environment '{environment}' is not declared"
    return Found(place, (ENVIRONMENTS,), message, f"{hint} {known}".strip())
