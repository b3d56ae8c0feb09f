"""Event patterns: does an event match?

Source: EventBridge user guide, "Comparison operators for use in event patterns". A pattern is JSON:
objects name fields, arrays list what a field may be; a field that is an array matches where one of
its items does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
_MISSING: Any = object()


def check(pattern: Any) -> None:
    """Raises ValueError, with what EventBridge says, for what is no pattern."""
    if not isinstance(pattern, dict):
        raise ValueError("Filter is not an object")  # noqa: TRY004
    for name, wanted in pattern.items():
        if name == "$or" and isinstance(wanted, list) and len(wanted) > 1:
            for each in wanted:
                check(each)
        elif isinstance(wanted, dict):
            check(wanted)
        elif not isinstance(wanted, list):
            raise ValueError(f'"{name}" must be an object or an array')
        elif not wanted:
            raise ValueError("Empty arrays are not allowed")
        else:
            _check_items(wanted)


def _check_items(items: list[Any]) -> None:
    for item in items:
        if isinstance(item, list):
            raise ValueError("Match value must be String, number, true, false, or null")  # noqa: TRY004
        if isinstance(item, dict):
            if len(item) != 1:
                raise ValueError("Only one key allowed in match expression")
            operator = next(iter(item))
            if operator != "exists" and operator not in _OPERATORS:
                raise ValueError(f"Unrecognized match type {operator}")


def matches(pattern: Json, event: Any) -> bool:
    """Return whether an event has all that a pattern asks for. A wrong pattern matches nothing."""
    try:
        return _has_all(pattern, event)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return False


def _has_all(pattern: Json, event: Any) -> bool:
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(_has_all(each, event) for each in wanted):
                return False
            continue
        found = event.get(name, _MISSING) if isinstance(event, dict) else _MISSING
        if isinstance(wanted, dict):
            if not _has_all(wanted, {} if found is _MISSING else found):
                return False
        elif not _is_one_of(wanted, found):
            return False
    return True


def _is_one_of(wanted: Any, found: Any) -> bool:
    if not isinstance(wanted, list):
        return False
    values = found if isinstance(found, list) else [found]
    return any(_meets(each, values) for each in wanted)


def _meets(wanted: Any, values: list[Any]) -> bool:
    """Return whether one item of a field's list is met by one of the field's values."""
    if not isinstance(wanted, dict):
        return any(_same(wanted, value) for value in values)
    if len(wanted) != 1:
        return False
    ((operator, argument),) = wanted.items()
    if operator == "exists":
        is_there = bool(values) and values[0] is not _MISSING and not isinstance(values[0], dict)
        return is_there is argument
    test = _OPERATORS.get(operator)
    return test is not None and any(test(argument, v) for v in values if v is not _MISSING)


def _same(wanted: Any, value: Any) -> bool:
    return (type(wanted) is type(value) and bool(wanted == value)) or _are_equal(wanted, value)


def _are_equal(one: Any, other: Any) -> bool:
    """Return whether two numbers are equal, whole or not; true and false are none."""
    return _is_number(one) and _is_number(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """Return a test of texts whose argument may ask for any case: {"equals-ignore-case": …}."""

    def check(argument: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(argument, dict):
            argument, value = argument.get("equals-ignore-case"), value.casefold()
            argument = argument.casefold() if isinstance(argument, str) else None
        return isinstance(argument, str) and test(argument, value)

    return check


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        ((operator, inner),) = argument.items()
        options = inner if isinstance(inner, list) else [inner]
        return not any(_meets({operator: option}, [value]) for option in options)
    options = argument if isinstance(argument, list) else [argument]
    return not any(_same(option, value) for option in options)


def _numeric(argument: Any, value: Any) -> bool:
    if not _is_number(value) or not isinstance(argument, list) or len(argument) % 2:
        return False
    pairs = list(pairwise(argument))[::2]
    return all(name in _COMPARE and _COMPARE[name](value, limit) for name, limit in pairs)


def _wildcard(argument: str, value: str) -> bool:
    """Return whether a text is like the pattern; \\* is an asterisk itself."""
    parts = re.split(r"(?<!\\)\*", argument)
    literal = [re.escape(part.replace("\\*", "*").replace("\\\\", "\\")) for part in parts]
    return re.fullmatch(".*".join(literal), value, re.DOTALL) is not None


def _cidr(argument: Any, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument)
    except ValueError:
        return False


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _of_text(lambda a, v: v.startswith(a)),
    "suffix": _of_text(lambda a, v: v.endswith(a)),
    "equals-ignore-case": _of_text(lambda a, v: v.casefold() == a.casefold()),
    "wildcard": _of_text(_wildcard),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
}
