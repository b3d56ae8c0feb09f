"""Which namespaces, services, operations and instances a request asks for (pure).

Source: Cloud Map API, NamespaceFilter, ServiceFilter, OperationFilter, DiscoverInstances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from kaiun.engine.cloudmap.records import invalid
from kaiun.engine.store import Doc

Values = Mapping[str, Callable[[Doc], Any]]
ANY: Final = "ALL"
HEALTHY: Final = "HEALTHY"


def chosen(items: Iterable[Doc], filters: Iterable[Doc], values: Values) -> list[Doc]:
    """Return the items that all filters let through; `values` tells by name what a filter sees.

    Raises InvalidInput.
    """
    tests = [_test(one, values) for one in filters]
    return [item for item in items if all(test(item) for test in tests)]


def _test(asked: Doc, values: Values) -> Callable[[Doc], bool]:
    wanted, condition = asked["Values"], asked.get("Condition", "EQ")
    value = values[asked["Name"]]
    if condition == "BETWEEN":
        low, high = _bounds(wanted)
        return lambda item: low <= value(item) <= high
    if not wanted or (condition != "IN" and len(wanted) > 1):
        raise invalid(f"The condition {condition} takes one value.")
    if condition == "BEGINS_WITH":
        return lambda item: str(value(item)).startswith(wanted[0])
    return lambda item: value(item) in wanted


def _bounds(wanted: list[str]) -> tuple[float, float]:
    """Return two times: seconds since the epoch, or ISO 8601."""
    try:
        low, high = (_time(text) for text in wanted)
    except ValueError:
        raise invalid("The condition BETWEEN takes two times.") from None
    return low, high


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def discovered(found: list[tuple[Doc, str]], params: Doc, *, checked: bool) -> list[Doc]:
    """Return the instances that DiscoverInstances asks for; `found` pairs each with its health.

    `checked` tells whether the service has a health check; without one HealthStatus is ignored.
    """
    must, may = params.get("QueryParameters", {}), params.get("OptionalParameters", {})
    asked = params.get("HealthStatus", ANY) if checked else ANY
    found = [(doc, health) for doc, health in found if _has(doc, must)]
    if asked == "HEALTHY_OR_ELSE_ALL":
        found = [pair for pair in found if pair[1] == HEALTHY] or found
    elif asked != ANY:
        found = [pair for pair in found if pair[1] == asked]
    docs = [doc for doc, _ in found]
    return [doc for doc in docs if _has(doc, may)] or docs


def _has(instance: Doc, wanted: Mapping[str, str]) -> bool:
    return all(instance["attributes"].get(name) == value for name, value in wanted.items())
