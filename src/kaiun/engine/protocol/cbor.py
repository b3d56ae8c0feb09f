"""Smithy's RPC v2 protocol: bodies in CBOR.

Source: Smithy, "Smithy RPC v2 CBOR protocol": timestamps are tag 1, seconds since the epoch.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import cbor2

from kaiun.engine.protocol.model import ServiceModel, Shape

CONTENT_TYPE: Final = "application/cbor"
_MAX_DEPTH: Final = 50


def read(body: bytes) -> Any:
    """Return a body as JSON would have it. Raises ValueError."""
    if not body:
        return {}
    try:
        return _plain(cbor2.loads(body), 0)
    except (cbor2.CBORError, RecursionError, OverflowError) as problem:
        raise ValueError(f"The request body is not CBOR: {problem}") from None


def _plain(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("The request body is too deep.")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    raise ValueError(f"The request body has a {type(value).__name__}, which no member is.")


def render(model: ServiceModel, operation: str, result: dict[str, Any]) -> bytes:
    """Return the body of an answer."""
    output = model.output_shape(operation)
    return cbor2.dumps(_typed(model, model.shapes[output[0]], result) if output else {})


def _typed(model: ServiceModel, shape: Shape, value: Any) -> Any:
    kind = shape["type"]
    if kind == "structure":
        return {
            name: _typed(model, model.shapes[ref["shape"]], value[name])
            for name, ref in shape["members"].items()
            if value.get(name) is not None
        }
    if kind == "list":
        member = model.shapes[shape["member"]["shape"]]
        return [_typed(model, member, item) for item in value]
    if kind == "map":
        inner = model.shapes[shape["value"]["shape"]]
        return {key: _typed(model, inner, item) for key, item in value.items()}
    if kind == "timestamp":
        return cbor2.CBORTag(1, float(value))
    return float(value) if kind in ("double", "float") else value


def render_error(shape: str, message: str) -> bytes:
    return cbor2.dumps({"__type": shape, "message": message})
