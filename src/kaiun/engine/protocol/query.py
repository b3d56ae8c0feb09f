"""The query protocol: form parameters in, XML out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from kaiun.engine.protocol.model import ServiceModel, Shape

Tree = dict[str, Any]
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Return text for XML. The standard library's function drags urllib.request along."""
    text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_form(body: bytes) -> dict[str, str]:
    """Return the parameters. Raises ValueError."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def parse(model: ServiceModel, shape: str, form: dict[str, str]) -> Any:
    """Return the parameters as the structure `shape`. Raises ValueError on a wrong scalar."""
    tree: Tree = {}
    for key, value in form.items():
        node = tree
        *path, last = key.split(".")
        for part in path:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                raise ValueError(f"{key}: a value and a structure at once")  # noqa: TRY004
            node = child
        if isinstance(node.get(last), dict):
            raise ValueError(f"{key}: a value and a structure at once")  # noqa: TRY004
        node[last] = value
    return _read(model, model.shapes[shape], tree)


def _read(model: ServiceModel, shape: Shape, node: Any) -> Any:
    kind = shape["type"]
    if kind == "structure":
        return _read_structure(model, shape, node)
    if kind == "list":
        return _read_list(model, shape, node)
    if kind == "map":
        return _read_map(model, shape, node)
    if isinstance(node, dict):
        raise ValueError("expected a value, found a structure")  # noqa: TRY004
    return _read_scalar(kind, node)


def _read_structure(model: ServiceModel, shape: Shape, node: Any) -> Any:
    if not isinstance(node, dict):
        raise ValueError("expected a structure, found a value")  # noqa: TRY004
    return {
        name: _read(model, model.shapes[ref["shape"]], node[ref.get("locationName", name)])
        for name, ref in shape["members"].items()
        if ref.get("locationName", name) in node
    }


def _read_list(model: ServiceModel, shape: Shape, node: Any) -> Any:
    if node == "":
        return []
    if not isinstance(node, dict):
        raise ValueError("expected a list, found a value")  # noqa: TRY004
    items = node if shape.get("flattened") else node.get("member", {})
    if not isinstance(items, dict):
        raise ValueError("expected numbered members")  # noqa: TRY004
    member = model.shapes[shape["member"]["shape"]]
    return [_read(model, member, items[key]) for key in sorted(items, key=int)]


def _read_map(model: ServiceModel, shape: Shape, node: Any) -> Any:
    entries = node if shape.get("flattened") else node.get("entry", {})
    value = model.shapes[shape["value"]["shape"]]
    return {e["key"]: _read(model, value, e["value"]) for e in entries.values()}


def _read_scalar(kind: str, text: str) -> Any:
    if kind in ("integer", "long"):
        return int(text)
    if kind in ("float", "double"):
        return float(text)
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got '{text[:40]}'")
        return text.lower() == "true"
    if kind == "timestamp":
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    return text


def render(model: ServiceModel, operation: str, result: Tree, request_id: str) -> bytes:
    """Return the XML of a result."""
    inner = ""
    if output := model.output_shape(operation):
        shape, wrapper = output
        body = _write(model, model.shapes[shape], result)
        inner = f"<{wrapper}>{body}</{wrapper}>" if wrapper else body
    return (
        f'<{operation}Response xmlns="{model.namespace}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    ).encode()


def render_error(namespace: str, code: str, message: str, request_id: str) -> bytes:
    """Return the XML of an error."""
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId>"
        "</ErrorResponse>"
    ).encode()


def _write(model: ServiceModel, shape: Shape, value: Any) -> str:
    kind = shape["type"]
    if kind == "structure":
        parts = []
        for name, ref in shape["members"].items():
            if value.get(name) is not None:
                tag = ref.get("locationName", name)
                inner = _write(model, model.shapes[ref["shape"]], value[name])
                parts.append(f"<{tag}>{inner}</{tag}>")
        return "".join(parts)
    if kind == "list":
        member = model.shapes[shape["member"]["shape"]]
        return "".join(f"<member>{_write(model, member, item)}</member>" for item in value)
    if kind == "map":
        item = model.shapes[shape["value"]["shape"]]
        return "".join(
            f"<entry><key>{escape(k)}</key><value>{_write(model, item, v)}</value></entry>"
            for k, v in value.items()
        )
    return _write_scalar(kind, value)


def _write_scalar(kind: str, value: Any) -> str:
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        moment = datetime.fromtimestamp(value, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    return escape(str(value))
