"""Frozen dataclasses to JSON and back: the scheduler's states as the store keeps them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Return JSON for dataclasses, tuples, sets, enums and scalars."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(encode(item) for item in value)
    return {name: encode(getattr(value, name)) for name in _names(_kind(value))}


def _kind(value: Any) -> Any:
    return type(value)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


def decode(kind: type[T], data: Any) -> T:
    """Return what `encode` was given. Fields that are missing take their defaults."""
    key: Any = kind
    decoded: T = _decoder(key)(data)
    return decoded


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(typing.cast("type", kind))
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _of_optional(args)
    if origin in (tuple, frozenset):
        item = _decoder(args[0])
        return lambda data: origin(item(each) for each in data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    return lambda data: data


def _of_dataclass(kind: type) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    decoders: dict[str, Callable[[Any], Any]] = {}

    def build(data: Any) -> Any:
        if not decoders:  # late, for a dataclass may contain itself
            decoders.update({name: _decoder(hint) for name, hint in hints.items()})
        return kind(**{name: decoders[name](item) for name, item in data.items() if name in hints})

    return build


def _of_optional(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    inner = _decoder(next(a for a in args if a is not type(None)))
    return lambda data: None if data is None else inner(data)
