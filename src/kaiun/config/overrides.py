"""Check `task_definition:` and `service:` against the ECS model that ships with botocore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TypedDict, cast

from kaiun.config.places import Found, Node
from kaiun.config.problems import show, suggestion, truth

OURS: Mapping[str, frozenset[str]] = {
    "RegisterTaskDefinitionRequest": frozenset({"family"}),
    "CreateServiceRequest": frozenset({"cluster", "serviceName", "taskDefinition", "clientToken"}),
}
SCALARS: Mapping[str, tuple[type, str]] = {
    "boolean": (bool, "true or false"),
    "integer": (int, "an integer"),
    "long": (int, "an integer"),
    "double": (float, "a number"),
    "float": (float, "a number"),
    "string": (str, "text"),
}
MEMBERS_SHOWN = 12


class Shape(TypedDict, total=False):
    """A shape of botocore's service model."""

    type: str
    members: dict[str, dict[str, str]]
    member: dict[str, str]
    value: dict[str, str]
    enum: list[str]


def check(node: Node, shape: str) -> Iterator[Found]:
    """Yield what ECS would refuse in an override: unknown members, wrong types, unknown words."""
    ours = OURS[shape] & node.items.keys()
    for name in ours:
        below = node.items[name]
        yield Found(below.place, below.path, "is set by kaiun itself", "remove it")
    yield from _check(node, shape)


@cache
def shapes() -> Mapping[str, Shape]:
    """Return the shapes of ECS, read once."""
    from botocore.loaders import create_loader

    model = create_loader().load_service_model("ecs", "service-2")
    return cast("Mapping[str, Shape]", model["shapes"])


def _check(node: Node, name: str) -> Iterator[Found]:
    shape = shapes()[name]
    kind = shape["type"]
    if node.source and isinstance(node.value, str) and "${" in node.value:
        return
    if kind == "structure":
        yield from _structure(node, shape)
    elif kind == "map":
        yield from _map(node, shape)
    elif kind == "list":
        yield from _list(node, shape)
    else:
        yield from _scalar(node, shape, kind)


def _structure(node: Node, shape: Shape) -> Iterator[Found]:
    if not isinstance(node.value, dict):
        yield _wrong(node, "a mapping (`key: value`)")
        return
    members = shape["members"]
    for name, below in node.value.items():
        if name in members:
            yield from _check(below, members[name]["shape"])
        else:
            yield Found(
                below.place, below.path, "unknown to ECS", _member_hint(name, list(members))
            )


def _map(node: Node, shape: Shape) -> Iterator[Found]:
    if not isinstance(node.value, dict):
        yield _wrong(node, "a mapping (`key: value`)")
        return
    for below in node.value.values():
        yield from _check(below, shape["value"]["shape"])


def _list(node: Node, shape: Shape) -> Iterator[Found]:
    if not isinstance(node.value, list):
        yield _wrong(node, "a list")
        return
    for below in node.value:
        yield from _check(below, shape["member"]["shape"])


def _scalar(node: Node, shape: Shape, kind: str) -> Iterator[Found]:
    python, words = SCALARS.get(kind, (object, ""))
    fits = type(node.value) is python or (python is float and type(node.value) is int)
    if python is not object and not fits:
        hint = f'put it in quotes: "{node.text}"' if python is str and node.text else ""
        hint = truth(str(node.value)) if python is bool else hint
        yield _wrong(node, words, hint)
    elif node.value not in (enum := shape.get("enum", [])) and enum:
        hint = suggestion(str(node.value), enum, f"one of {', '.join(enum[:MEMBERS_SHOWN])}")
        yield Found(node.at, node.path, f"unknown to ECS: {show(node)}", hint)


def _wrong(node: Node, expected: str, hint: str = "") -> Found:
    return Found(node.at, node.path, f"expected {expected}, got {show(node)}", hint)


def _member_hint(name: str, members: list[str]) -> str:
    known = ", ".join(members[:MEMBERS_SHOWN]) + ("…" if len(members) > MEMBERS_SHOWN else "")
    return suggestion(name.replace("_", "").replace("-", ""), members, f"known here: {known}")
