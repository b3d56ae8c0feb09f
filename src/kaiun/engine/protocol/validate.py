"""Check a request against its shape: types, required members, enums, ranges, patterns.

Unknown members are dropped, as AWS does. All constraint violations are reported at once, in the
words of AWS: "2 validation errors detected: Value 'x' at 'launchType' failed to satisfy …".
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import Any

from kaiun.engine.protocol.model import ServiceModel, Shape

Problems = list[str]
Checker = Callable[[Any, str, Problems], Any]


class WrongType(Exception):
    """A member has another JSON type than its shape."""


class Validator:
    """The checkers of one service's shapes, made when first used."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._checkers: dict[str, Checker] = {}

    def check(self, shape: str, value: Any) -> tuple[Any, Problems]:
        """Return the cleaned value and what is wrong with it. Raises WrongType."""
        problems: Problems = []
        return self.checker(shape)(value, "", problems), problems

    def checker(self, name: str) -> Checker:
        if name not in self._checkers:
            self._checkers[name] = self._later(name)  # a shape may contain itself
            self._checkers[name] = self._make(self._model.shapes[name])
        return self._checkers[name]

    def _later(self, name: str) -> Checker:
        def check(value: Any, path: str, problems: Problems) -> Any:
            return self._checkers[name](value, path, problems)

        return check

    def _make(self, shape: Shape) -> Checker:
        kind = shape["type"]
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return _list(shape, self.checker(shape["member"]["shape"]))
        if kind == "map":
            return _map(
                shape, self.checker(shape["key"]["shape"]), self.checker(shape["value"]["shape"])
            )
        return _SCALARS[kind](shape)

    def _structure(self, shape: Shape) -> Checker:
        if shape.get("document"):
            return lambda value, _path, _problems: value
        members = {n: self.checker(ref["shape"]) for n, ref in shape["members"].items()}
        required = tuple(shape.get("required", ()))
        union = shape.get("union", False)

        def check(value: Any, path: str, problems: Problems) -> Any:
            if not isinstance(value, dict):
                raise WrongType(f"{path or 'request'}: expected an object")
            prefix = f"{path}." if path else ""
            problems.extend(
                _broken(None, prefix + name, "Member must not be null")
                for name in required
                if value.get(name) is None
            )
            if union and sum(value.get(name) is not None for name in members) != 1:
                problems.append(_broken(value, path, "Member must have exactly one of its members"))
            return {
                name: members[name](item, prefix + name, problems)
                for name, item in value.items()
                if item is not None and name in members
            }

        return check


def _broken(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{str(value)[:200]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _list(shape: Shape, member: Checker) -> Checker:
    low, high = shape.get("min", 0), shape.get("max", math.inf)

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, list):
            raise WrongType(f"{path}: expected a list")
        _check_length(value, low, high, path, problems)
        return [member(v, f"{path}.{i}.member", problems) for i, v in enumerate(value, 1)]

    return check


def _map(shape: Shape, key: Checker, item: Checker) -> Checker:
    low, high = shape.get("min", 0), shape.get("max", math.inf)

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            raise WrongType(f"{path}: expected an object")
        _check_length(value, low, high, path, problems)
        return {
            key(k, path, problems): item(v, f"{path}.{k}.member", problems)
            for k, v in value.items()
        }

    return check


def _string(shape: Shape) -> Checker:
    low, high = shape.get("min", 0), shape.get("max", math.inf)
    allowed = frozenset(shape.get("enum", ()))
    shown = ", ".join(shape.get("enum", ()))
    pattern = _compile(shape.get("pattern"))

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, str):
            raise WrongType(f"{path}: expected a string")
        _check_length(value, low, high, path, problems)
        if allowed and value not in allowed:
            problems.append(_broken(value, path, f"Member must satisfy enum value set: [{shown}]"))
        if pattern and not pattern.fullmatch(value):
            problems.append(
                _broken(
                    value,
                    path,
                    f"Member must satisfy regular expression pattern: {shape['pattern']}",
                )
            )
        return value

    return check


def _compile(pattern: str | None) -> re.Pattern[str] | None:
    """Return the pattern; None where Python cannot read it (a few use Java's classes)."""
    if pattern is None:
        return None
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None


def _integer(bits: int) -> Callable[[Shape], Checker]:
    """Return the checker of an integer that has to fit into so many bits."""
    limit = 2 ** (bits - 1)

    def make(shape: Shape) -> Checker:
        inner = _number(shape, (int,), "an integer")

        def check(value: Any, path: str, problems: Problems) -> Any:
            if isinstance(value, int) and not -limit <= value < limit:
                raise WrongType(f"{path}: expected an integer of {bits} bits")
            return inner(value, path, problems)

        return check

    return make


def _number(shape: Shape, types: tuple[type, ...], word: str) -> Checker:
    low, high = shape.get("min", -math.inf), shape.get("max", math.inf)

    def check(value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, bool) or not isinstance(value, types):
            raise WrongType(f"{path}: expected {word}")
        if value < low:
            problems.append(
                _broken(value, path, f"Member must have value greater than or equal to {low}")
            )
        if value > high:
            problems.append(
                _broken(value, path, f"Member must have value less than or equal to {high}")
            )
        return value

    return check


def _check_length(value: Any, low: float, high: float, path: str, problems: Problems) -> None:
    if len(value) < low:
        problems.append(
            _broken(value, path, f"Member must have length greater than or equal to {low}")
        )
    if len(value) > high:
        problems.append(
            _broken(value, path, f"Member must have length less than or equal to {high}")
        )


def _boolean(_shape: Shape) -> Checker:
    def check(value: Any, path: str, _problems: Problems) -> Any:
        if not isinstance(value, bool):
            raise WrongType(f"{path}: expected true or false")
        return value

    return check


def _blob(_shape: Shape) -> Checker:
    def check(value: Any, path: str, _problems: Problems) -> Any:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise WrongType(f"{path}: expected base64") from None

    return check


_SCALARS: dict[str, Callable[[Shape], Checker]] = {
    "string": _string,
    "character": _string,
    "integer": _integer(32),
    "long": _integer(64),
    "float": lambda s: _number(s, (int, float), "a number"),
    "double": lambda s: _number(s, (int, float), "a number"),
    "timestamp": lambda s: _number(s, (int, float), "seconds since the epoch"),
    "boolean": _boolean,
    "blob": _blob,
}
