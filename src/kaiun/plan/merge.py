"""Deep-merge what kaiun.yml passes through (`task_definition:`, `service:`) into a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

Json = dict[str, object]

BY_NAME = frozenset({"containerDefinitions", "environment", "secrets"})


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Json:
    """Return `base` with `over` on top: mappings are merged, a null takes a key away.

    Lists are replaced, but for containers, environment and secrets: those are merged by name.
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(key, merged.get(key), value)
    return merged


def _merged(key: str, old: object, new: object) -> object:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return merge(old, new)
    if key in BY_NAME and isinstance(old, list) and isinstance(new, list):
        return _by_name(old, new)
    return new


def _by_name(old: list[object], new: list[object]) -> list[object]:
    items = {_name(item): item for item in old}
    for item in new:
        mine = items.get(_name(item))
        both = isinstance(mine, Mapping) and isinstance(item, Mapping)
        items[_name(item)] = merge(cast("Json", mine), cast("Json", item)) if both else item
    return list(items.values())


def _name(item: object) -> str:
    return str(item.get("name")) if isinstance(item, Mapping) else repr(item)
