"""docs/reference/kaiun-yml.md, made from the models and the example."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import cast

from pydantic import JsonValue

from kaiun.config.jsonschema import Schema, build

INTRODUCTION = """\
# kaiun.yml

<!-- Made by `python -m kaiun.config.reference`; a test checks that it is up to date. -->

One file describes an app in every environment. kaiun looks for it in the working directory and
above, up to the root of the git work tree. The whole file is checked each time it is read, every
environment of it, and all problems are told at once, with line, column and a hint.

A JSON Schema for editors ships with kaiun: `src/kaiun/config/schema.json`.

## Rules

- **YAML**: the core schema of YAML 1.2. `yes`, `no`, `on`, `off` and `12:30` are text, and a
  number has no leading zero. A key that stands twice is an error. Anchors, aliases and `<<` work.
- **Text as it is written**: variables, secrets, build arguments, options of the log driver and
  arguments of commands are what stands in the file, to the letter: `3.10` stays 3.10, `0755`
  stays 0755, `true` is the text true. An empty value is an error; an empty text is written `""`.
- **Commands** are split as a POSIX shell would, but no shell runs them: `a && b` is written
  `sh -c 'a && b'`.
- **Placeholders** in any text: `${env:NAME}`, `${revision}` (the full commit SHA), `${file:path}`
  (relative to kaiun.yml, without its last newline), `${ssm:/path}`, `${secret:name}`,
  `${cfn:stack.Output}`. One that does not exist or is empty is an error. `$${` is a plain `${`.
  Inside `{…}` and `[…]` a value with a placeholder stands in quotes. An unquoted value made of
  placeholders alone may become a number, true or false. Only the environment that is asked for is
  looked up. No error shows a value that was looked up. A secret becomes part of the task
  definition: for what the app reads, `secrets` is the better place.
- **Environments** are deep-merged over the top level: mappings key by key, all else, lists too,
  is replaced. A null takes a key away, as if it had not been written: its default applies.
  `local` is always there and is the local ECS; so is an environment with `local: true`.
- **Inheritance**: `env` and `secrets` of the top level go to every process and task that runs the
  image of the app, not to those with an `image` of their own. What a process or task says itself
  wins.
- **ECS**: `task_definition` and `service` take every field of RegisterTaskDefinition and
  CreateService; their names, types and words are checked against the model of the AWS SDK.
"""
START = (
    "The placeholders above have no meaning here: `${VAR}`, `${VAR:-default}` and "
    "`${VAR:?message}` are variables of the container, read when it starts."
)
ASSETS = "No placeholder has a meaning here: the commit alone decides what is compiled."
SECTIONS = (
    ("", "Top level", ""),
    ("Image", "image", ""),
    ("Process", "processes/NAME", ""),
    ("Health", "processes/NAME/health", "`health: /up` is short for `health: {path: /up}`."),
    ("Deploy", "processes/NAME/deploy", ""),
    ("Build", "processes/NAME/image, tasks/NAME/image", "Or a reference such as `redis:7`."),
    ("Task", "tasks/NAME", ""),
    ("Logs", "logs", ""),
    ("Network", "network", ""),
    ("Roles", "roles", ""),
    ("Beside", "processes/NAME/with/NAME", "A command alone is short for `{command: …}`."),
    ("Assets", "assets", ASSETS),
    ("Keep", "assets/keep", ""),
    ("Start", "start", START),
    ("Require", "start/require", "A name alone is short for `{name: …}`."),
    ("Fetch", "start/fetch", ""),
    ("Secret", "start/secrets", "A file alone is short for `{file: …}`."),
    ("Template", "start/templates", "A file alone is short for `{file: …}`."),
    ("Wait", "start/wait", "An address alone is short for `{address: …}`."),
    ("Hook", "start/hooks/NAME", "A command alone is short for `{command: …}`."),
    ("When", "start/…/when", ""),
)


def text() -> str:
    """Return the page."""
    schema = build()
    defs = _mapping(schema["$defs"])
    parts = [INTRODUCTION]
    for name, title, remark in SECTIONS:
        model = _mapping(defs[name]) if name else schema
        parts.append("\n".join(_section(model, title, remark)))
    example = files("kaiun.config").joinpath("example.yml").read_text("utf-8")
    parts.append(f"## Example\n\n```yaml\n{example}```\n")
    return "\n".join(parts)


def _section(model: Schema, title: str, remark: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{model.get('description', '')} {remark}".strip() + "\n"
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    required = cast("list[str]", model.get("required", []))
    for key, each in _mapping(model["properties"]).items():
        node = _mapping(each)
        default = "required" if key in required else _default(node)
        meaning = str(node.get("description", "")).replace("|", "\\|")
        yield f"| `{key}` | {_kind(node)} | {default} | {meaning} |"
    yield ""


def _default(node: Schema) -> str:
    value = node.get("default")
    if value in (None, {}, []) or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(node: Schema) -> str:
    """Return in words what may be written."""
    if "anyOf" in node or "oneOf" in node:
        forms = cast("list[JsonValue]", node.get("anyOf") or node.get("oneOf"))
        kinds = [_kind(_mapping(form)) for form in forms]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in cast("list[str]", node["enum"]))
    if "$ref" in node:
        return "" if str(node["$ref"]).endswith("Placeholder") else "mapping"
    if node.get("type") == "integer":
        return f"integer{_bounds(node)}"
    if node.get("type") == "array":
        return f"list of {_kind(_mapping(node['items']))}"
    words = {"string": "text", "boolean": "true, false", "object": "mapping", "null": ""}
    return words.get(str(node.get("type")), "text")


def _bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None:
        return ""
    return f" {low}–{high}" if high is not None else f" ≥ {low}"


def _mapping(node: JsonValue) -> Schema:
    if not isinstance(node, dict):
        raise TypeError(node)
    return node


def main() -> None:
    """Write the page to standard output."""
    sys.stdout.write(text())


if __name__ == "__main__":
    main()
