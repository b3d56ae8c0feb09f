"""The rest-json protocol: what is asked stands in the path, the query and a JSON body."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote

from kaiun.engine.protocol.model import ServiceModel, Shape

Route = tuple[str, str, re.Pattern[str]]  # method, operation, pattern of the raw path


@lru_cache
def _routes(model: ServiceModel) -> list[Route]:
    return [
        (operation["http"]["method"], name, _pattern(operation["http"]["requestUri"]))
        for name, operation in model.operations.items()
    ]


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of a URI template; labels become groups."""
    parts = re.split(r"\{(\w+)\}", template)
    texts = [
        f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    ]
    return re.compile("".join(texts))


def match(model: ServiceModel, method: str, raw_path: str) -> tuple[str, dict[str, str]]:
    """Return the operation that a request names, and the labels of its path. Raises LookupError."""
    for verb, name, pattern in _routes(model):
        found = pattern.fullmatch(raw_path) if verb == method else None
        if found is not None:
            return name, {key: unquote(value) for key, value in found.groupdict().items()}
    raise LookupError(raw_path)


def gather(
    model: ServiceModel, operation: str, labels: dict[str, str], query: str, body: dict[str, Any]
) -> dict[str, Any]:
    """Return the parameters from where the model has them. Raises ValueError on a wrong number."""
    shape = model.input_shape(operation)
    members = model.shapes[shape]["members"] if shape else {}
    asked = parse_qs(query, keep_blank_values=True)
    params: dict[str, Any] = {}
    for name, member in members.items():
        key, place = member.get("locationName", name), member.get("location")
        if place == "uri":
            params[name] = labels[key]
        elif place == "querystring":
            if key in asked:
                params[name] = _read(model.shapes[member["shape"]], asked[key])
        elif key in body:
            params[name] = body[key]
    return params


def _read(shape: Shape, texts: list[str]) -> Any:
    if shape["type"] == "list":
        return texts
    return int(texts[-1]) if shape["type"] == "integer" else texts[-1]


def status_of(model: ServiceModel, code: str, default: int) -> int:
    """Return the HTTP status of an error by its model."""
    status: int = model.shapes.get(code, {}).get("error", {}).get("httpStatusCode", default)
    return status
