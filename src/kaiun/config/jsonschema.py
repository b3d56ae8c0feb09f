"""The JSON Schema (draft 2020-12) of kaiun.yml, for editors: made from the models.

An environment has the same keys, none of them required, and null takes a key away.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from typing import cast

from pydantic import JsonValue

from kaiun.config.schema import Environment, Settings

Schema = dict[str, JsonValue]
PLACEHOLDER: Schema = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A placeholder, which is replaced when the file is loaded.",
}
OVERLAY = "Overlay"


def build() -> Schema:
    """Return the JSON Schema of a whole kaiun.yml."""
    top = cast("Schema", Settings.model_json_schema())
    overlay = partial(cast("Schema", Environment.model_json_schema()))
    properties, defs = _mapping(top["properties"]), _mapping(top.pop("$defs"))
    _mapping(overlay["properties"]).pop("app")
    defs |= _mapping(overlay.pop("$defs"))
    properties["environments"] = {
        "type": "object",
        "description": "Environments by name; `local` is always there.",
        "additionalProperties": {
            "anyOf": [{"$ref": f"#/$defs/Environment{OVERLAY}"}, {"type": "null"}]
        },
    }
    defs[f"Environment{OVERLAY}"] = overlay
    defs["Placeholder"] = dict(PLACEHOLDER)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": defs}
    return _mapping(tidy(schema | {"title": "kaiun.yml"}, top=True))


def partial(schema: Schema) -> Schema:
    """Return a schema of the same keys, none required, each of which may be null."""

    def walk(node: JsonValue) -> JsonValue:
        if isinstance(node, list):
            return [walk(each) for each in node]
        if not isinstance(node, dict):
            return node
        node = {key: walk(each) for key, each in node.items() if key not in {"required", "default"}}
        if isinstance(ref := node.get("$ref"), str):
            node["$ref"] = f"{ref}{OVERLAY}"
        if isinstance(node.get("properties"), dict):
            named = _mapping(node["properties"])
            node["properties"] = {key: _or_null(each) for key, each in named.items()}
        if isinstance(below := node.get("additionalProperties"), dict):
            node["additionalProperties"] = _or_null(below)
        return node

    whole = _mapping(walk(deepcopy(schema)))
    whole["$defs"] = {f"{name}{OVERLAY}": each for name, each in _mapping(whole["$defs"]).items()}
    return whole


def _or_null(node: JsonValue) -> JsonValue:
    schema = _mapping(node)
    forms = schema.get("anyOf")
    if isinstance(forms, list) and {"type": "null"} in forms:
        return schema
    texts: Schema = {key: schema.pop(key) for key in ("description", "title") if key in schema}
    return {"anyOf": [*(forms if isinstance(forms, list) else [schema]), {"type": "null"}], **texts}


def tidy(node: JsonValue, *, top: bool = False) -> JsonValue:
    """Drop the titles and let placeholders stand where numbers, true and false do."""
    if isinstance(node, list):
        return [tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {
        key: tidy(each)
        for key, each in node.items()
        if not (key == "title" and isinstance(each, str) and not top)
        and not (key == "default" and (each in ("", None) or isinstance(each, (dict, list))))
    }
    if plain.get("type") in ("integer", "boolean"):
        text: Schema = {key: plain.pop(key) for key in ("description", "default") if key in plain}
        return {"anyOf": [plain, {"$ref": "#/$defs/Placeholder"}], **text}
    return plain


def _mapping(node: JsonValue) -> Schema:
    if not isinstance(node, dict):
        raise TypeError(node)
    return node


def text() -> str:
    """Return the JSON Schema as it is shipped."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the JSON Schema to standard output."""
    sys.stdout.write(text())
