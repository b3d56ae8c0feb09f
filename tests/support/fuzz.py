"""Requests made from botocore's shapes: plausible ones, and ones that are wrong in one known way.

Everything is decided by a random.Random, so that a seed names a request.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

MAX_DEPTH = 6
LONG = "x" * 1_000_000
ODD_STRINGS = (
    "", " ", "\0", "ü" * 300, "\ud800", "a/b", "arn:", "arn:aws:ecs:::", "-1", "../../etc/passwd",
    "a" * 256, "%00", "'; DROP TABLE document; --", "<a&b>", "\x1b[0m", "x:y:z", "*", "[", "null",
)  # fmt: skip
ODD_NUMBERS = (-1, 0, 1, 2, 100, 101, 65536, 2**31 - 1, -(2**31))
_PLAIN: dict[str, Sequence[Any]] = {
    "boolean": (True, False),
    "float": (0.0, 50.0),
    "double": (0.0, 50.0),
    "timestamp": (1_700_000_000,),
    "blob": ("QUJD",),
}
Pool = Mapping[str, Sequence[str]]  # member name → values that exist
Body = dict[str, Any]


@lru_cache
def model_of(service: str) -> ServiceModel:
    """Return botocore's model of "ecs", "elbv2" or "logs"."""
    loaded: ServiceModel = botocore.session.get_session().get_service_model(service)
    return loaded


@dataclass(frozen=True, slots=True)
class Wrong:
    """One request that is wrong: `kind` says how, `path` where."""

    kind: str  # missing | type | enum | length | range
    path: str
    body: Body


class Requests:
    """Bodies of one operation."""

    def __init__(self, service: str, operation: str, pool: Pool, seed: int) -> None:
        self._shape = model_of(service).operation_model(operation).input_shape
        self._pool = pool
        self._random = random.Random(f"{service} {operation} {seed}")

    def plausible(self) -> Body:
        """Return a body of the right types, with names that exist where it needs some."""
        if self._shape is None:
            return {}
        body: Body = self._value(self._shape, "", 0)
        return body

    def odd(self) -> Body:
        """Return a body of the right types with one value that nobody expects."""
        body = self.plausible()
        leaves = [place for place in _places(self._shape, body) if _is_leaf(place.shape)]
        if leaves:
            place = self._random.choice(leaves)
            place.put(self._odd_value(place.shape))
        return body

    def huge(self) -> Body | None:
        """Return a body with a string of a megabyte; None where no member is a string."""
        body = self.plausible()
        texts = [p for p in _places(self._shape, body) if p.shape.type_name == "string"]
        if not texts:
            return None
        self._random.choice(texts).put(LONG)
        return body

    def unknown(self) -> Body:
        """Return a body with a member that no model knows, at any depth."""
        body = self.plausible()
        inner = [p.get() for p in _places(self._shape, body) if p.shape.type_name == "structure"]
        self._random.choice([body, *inner])["noSuchMember"] = {"a": [1, None, "b"]}
        return body

    def wrong(self) -> Iterator[Wrong]:
        """Yield bodies that break what the model itself demands, a few of each kind."""
        for kind, spoil in _SPOILERS.items():
            body = self.plausible()
            candidates = list(_places(self._shape, body))
            self._random.shuffle(candidates)
            for place in candidates[:40]:
                spoiled = copy.deepcopy(body)
                where = next(p for p in _places(self._shape, spoiled) if p.path == place.path)
                if spoil(where, self._random):
                    yield Wrong(kind, place.path, spoiled)
                    break

    def _value(self, shape: Shape, name: str, depth: int) -> Any:
        match shape.type_name:
            case "structure":
                return self._structure(shape, depth)
            case "list":
                low = max(1, shape.metadata.get("min", 0))
                return [self._value(shape.member, name, depth + 1) for _ in range(low)]
            case "map":
                return {"key": self._value(shape.value, name, depth + 1)}
            case _:
                return self._scalar(shape, name)

    def _structure(self, shape: Shape, depth: int) -> Body:
        required = set(shape.required_members)
        members = list(shape.members.items())
        if getattr(shape, "is_tagged_union", False):
            members = [self._random.choice(members)]
            required = {members[0][0]}
        optional = 0.5 if depth < 2 else 0.25
        return {
            name: self._value(member, name, depth + 1)
            for name, member in members
            if name in required or (depth < MAX_DEPTH and self._random.random() < optional)
        }

    def _scalar(self, shape: Shape, name: str) -> Any:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
        if shape.type_name != "string":
            numbers = [n for n in (low, low + 1, high) if n is not None]
            return self._random.choice(_PLAIN.get(shape.type_name, numbers))
        known = self._pool.get(name) or self._pool.get(name.removesuffix("s"))
        if shape.enum:
            wanted = [value for value in known or () if value in shape.enum]
            return self._random.choice(wanted or shape.enum)
        if known:
            return self._random.choice(known)
        return self._random.choice(("web", "a-b_1", "1")).ljust(max(1, low), "x")[:high]

    def _odd_value(self, shape: Shape) -> Any:
        if shape.type_name in ("integer", "long"):
            return self._random.choice(ODD_NUMBERS)
        if shape.type_name in ("float", "double"):
            return self._random.choice((-1.0, 1e300, 0.0, 100.5))
        if shape.type_name == "string":
            return self._random.choice(ODD_STRINGS)
        return self._scalar(shape, "")


@dataclass(frozen=True, slots=True)
class _Place:
    """One value within a body: its shape, and the container that holds it."""

    path: str
    shape: Shape
    holder: Any
    key: Any
    required: bool = False

    def get(self) -> Any:
        return self.holder[self.key]

    def put(self, value: Any) -> None:
        self.holder[self.key] = value


def _is_leaf(shape: Shape) -> bool:
    return shape.type_name not in ("structure", "list", "map")


def _places(shape: Shape | None, value: Any, path: str = "") -> Iterator[_Place]:
    """Yield every place below a value, outer ones first."""
    if shape is None:
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in [n for n in value if n in shape.members]:
            member, place = shape.members[name], f"{path}.{name}"
            yield _Place(place, member, value, name, name in shape.required_members)
            yield from _places(member, value[name], place)
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield _Place(f"{path}.{index}", shape.member, value, index)
            yield from _places(shape.member, item, f"{path}.{index}")


def _drop(place: _Place, _random: random.Random) -> bool:
    if place.required:
        del place.holder[place.key]
    return place.required


_OTHER_TYPES: dict[str, tuple[Any, ...]] = {
    "structure": ([], "x", 1, True),
    "list": ({}, "x", 1, False),
    "map": ([], "x", 1),
    "string": (1, {}, [], True, 1.5),
    "boolean": ("true", 1, {}, []),
    "integer": ("1", {}, 1.5, True, 2**70),
    "long": ("1", {}, 1.5, True, 2**70),
    "float": ("1", {}, True),
    "double": ("1", {}, True),
    "timestamp": ({}, [], True),
    "blob": (1, {}, "not base64!"),
}


def _retype(place: _Place, choose: random.Random) -> bool:
    place.put(choose.choice(_OTHER_TYPES[place.shape.type_name]))
    return True


def _misname(place: _Place, _random: random.Random) -> bool:
    if place.shape.type_name != "string" or not place.shape.enum:
        return False
    place.put("NO_SUCH_VALUE")
    return True


def _overrun(place: _Place, _random: random.Random) -> bool:
    limit = place.shape.metadata.get("max")
    if limit is None or place.shape.type_name != "string":
        return False
    place.put("x" * (limit + 1))
    return True


def _outrange(place: _Place, _random: random.Random) -> bool:
    limit = place.shape.metadata.get("max")
    if limit in (None, 2**31 - 1) or place.shape.type_name not in ("integer", "long"):
        return False
    place.put(limit + 1)
    return True


_SPOILERS: dict[str, Callable[[_Place, random.Random], bool]] = {
    "missing": _drop,
    "type": _retype,
    "enum": _misname,
    "length": _overrun,
    "range": _outrange,
}
