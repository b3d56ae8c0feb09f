"""Differences between two comparable forms, and what of them must not be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import cast

from kaiun.plan.merge import Json
from kaiun.plan.steps import Change

MASK = "••••••"
SECRET_NAME = re.compile(
    r"SECRET|PASSW|PASSPHRASE|TOKEN|CREDENTIAL|PRIVATE|SALT|DSN|AUTH|(?:^|[_.-])KEY|API_?KEY",
    re.IGNORECASE,
)
URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")


def changes(old: object, new: object, path: str = "") -> tuple[Change, ...]:
    """Return the differences, each at the deepest path at which both sides are mappings.

    Lists of one length are compared item by item when their items are mappings.
    """
    return tuple(_changes(old, new, path))


def _changes(old: object, new: object, path: str) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif _lists_of_mappings(old, new):
        pairs = zip_longest(cast("list[Json]", old), cast("list[Json]", new))
        for index, (one, other) in enumerate(pairs):
            yield from _changes(one, other, f"{path}[{index}]")
    else:
        yield Change(path, old, new)


def _lists_of_mappings(*sides: object) -> bool:
    return all(
        isinstance(side, list) and side and all(isinstance(item, Mapping) for item in side)
        for side in sides
    )


def masked(change: Change) -> Change:
    """Return the change without the values that look secret."""
    path = change.path
    parent, _, name = path.rpartition(".")
    if parent.endswith((".environment", ".options")):
        return Change(path, mask(name, change.old), mask(name, change.new))
    return Change(path, _masked_member(name, change.old), _masked_member(name, change.new))


def mask(name: str, value: object) -> object:
    """Return the value of an environment variable or log option as it may be shown."""
    if not isinstance(value, str) or not value:
        return value
    if SECRET_NAME.search(name):
        return MASK
    return URL_PASSWORD.sub(rf"\1:{MASK}@", value)


def _mask_all(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {name: mask(str(name), item) for name, item in value.items()}


def masked_request(value: object) -> object:
    """Return a request of AWS as it may be shown: environment and log options masked."""
    if isinstance(value, Mapping):
        return {key: _masked_member(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked_request(item) for item in value]
    return value


def _masked_member(key: str, value: object) -> object:
    if key == "environment" and isinstance(value, list):
        return [{**pair, "value": mask(str(pair["name"]), pair.get("value"))} for pair in value]
    if key in {"environment", "options"}:
        return _mask_all(value)
    return masked_request(value)
