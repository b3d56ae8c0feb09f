"""Tell what pydantic found wrong in the words of kaiun.yml, at the place where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from kaiun.config import assets, schema, start, workload
from kaiun.config.places import Found, Node, Path
from kaiun.config.values import BadValueError

SHOWN_MAX = 60
EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected an integer",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping (`key: value`)",
    "model_type": "expected a mapping (`key: value`)",
    "model_attributes_type": "expected a mapping (`key: value`)",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}
STEPS = ("require", "fetch", "secrets", "templates", "wait", "hooks")
MODELS: Mapping[Path, type[schema.Model]] = {
    (): schema.Environment,
    ("image",): schema.Image,
    ("processes", "*"): schema.Process,
    ("processes", "*", "image"): schema.Build,
    ("processes", "*", "health"): schema.Health,
    ("processes", "*", "deploy"): schema.Deploy,
    ("processes", "*", "with", "*"): workload.Beside,
    ("tasks", "*"): schema.Task,
    ("tasks", "*", "image"): schema.Build,
    ("logs",): schema.Logs,
    ("network",): schema.Network,
    ("roles",): schema.Roles,
    ("assets",): assets.Assets,
    ("assets", "keep"): assets.Keep,
    ("start",): start.Start,
    ("start", "require", "*"): start.Require,
    ("start", "fetch", "*"): start.Fetch,
    ("start", "secrets", "*"): start.Secret,
    ("start", "templates", "*"): start.Template,
    ("start", "wait", "*"): start.Wait,
    ("start", "hooks", "*"): start.Hook,
    **{("start", step, "*", "when"): start.When for step in STEPS},
}
MAPPINGS = frozenset({"dict_type", "model_type", "model_attributes_type"})
LATER: Mapping[Path, frozenset[str]] = {
    (): frozenset({"jobs", "autoscale", "schedule", "alarms", "cpu", "dashboard"}),
    ("processes", "*"): frozenset({"autoscale", "schedule", "alarms", "sidecars", "strategy"}),
    ("tasks", "*"): frozenset({"schedule"}),
}
SYNONYMS = {
    "args": "args", "build": "image", "cmd": "command", "containers": "processes",
    "depends_on": "needs", "desired_count": "count", "docker": "image", "environment": "env",
    "envs": "env", "health_check": "health", "healthcheck": "health", "instances": "count",
    "log": "logs", "logging": "logs", "mem": "memory", "name": "app", "ports": "port",
    "replicas": "count", "scale": "count", "services": "processes", "variables": "env",
    "vars": "env", "volumes": "task_definition", "vpc": "network",
}  # fmt: skip
REQUIRED = {
    "app": "app: shop",
    "image": "image: {repository: registry.example.com/shop}",
    "repository": "repository: registry.example.com/shop",
    "context": "context: services/redis",
    "command": "command: bundle exec rails db:migrate",
    "assets/command": "command: bundle exec rails assets:precompile",
}


class Detail(TypedDict, total=False):
    """What this module reads of an error of pydantic."""

    type: str
    loc: tuple[int | str, ...]
    msg: str
    ctx: dict[str, object]


def told(error: Detail, tree: Node) -> tuple[Found, Node]:
    """Return the problem and the node that it is about."""
    loc = tuple(step for step in error["loc"] if not str(step).startswith("<"))
    is_key = bool(loc) and loc[-1] == "[key]"
    node, rest = nearest(tree, loc[:-1] if is_key else loc)
    kind = error["type"]
    if kind == "missing":
        name = str(rest[0]) if rest else ""
        known = REQUIRED.get("/".join(map(str, (*node.path, name)))) or REQUIRED.get(name)
        hint = f"add `{known}`" if known else ""
        return Found(node.place, (*node.path, name), "missing", hint), node
    if kind == "extra_forbidden":
        return unknown(node, loc), node
    expected, hint, got = _expected(error, node)
    shown = str(node.path[-1]) if is_key else None
    if got:
        expected = f"{expected}, got {show(node, shown)}"
    if node.source:
        hint = f"the value comes from {node.source}"
    return Found(node.place if is_key else node.at, node.path, expected, hint), node


def nearest(tree: Node, loc: Sequence[int | str]) -> tuple[Node, Sequence[int | str]]:
    """Return the deepest node on the way to `loc`, and the rest of the way."""
    node = tree
    for index, step in enumerate(loc):
        below = node.get(step)
        if below is None:
            return node, loc[index:]
        node = below
    return node, ()


def show(node: Node, text: str | None = None) -> str:
    """Show a value as it stands in the file; never one that was looked up."""
    if isinstance(node.value, (dict, list)) and text is None:
        return "a mapping" if isinstance(node.value, dict) else "a list"
    if node.value is None and text is None:
        return "nothing"
    shown = text or node.source or (node.text if not isinstance(node.value, str) else node.value)
    shown = shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"
    plain = text is None and not node.source and not isinstance(node.value, str)
    return shown if plain else repr(shown)


def _expected(error: Detail, node: Node) -> tuple[str, str, bool]:
    """Return what was expected, a hint, and whether to say what was got."""
    kind, ctx = error["type"], error.get("ctx", {})
    cause = ctx.get("error")
    if isinstance(cause, BadValueError):
        return cause.expected, cause.hint, cause.got
    if kind == "literal_error":
        expected = str(ctx["expected"])
        return f"expected {expected}", suggestion(str(node.value), expected.split("'")[1::2]), True
    if kind == "greater_than_equal":
        return f"expected at least {ctx['ge']}", "", True
    if kind == "less_than_equal":
        return f"expected at most {ctx['le']}", "", True
    return EXPECTED.get(kind, error["msg"]), _retype(kind, node), True


def _retype(kind: str, node: Node) -> str:
    if kind in MAPPINGS:
        return _as_mapping(node)
    if node.value is None:
        empty = {"tuple_type": "[]", "string_type": '""'}.get(kind)
        return f"write `{node.path[-1]}: {empty}`, or remove the key" if empty else "remove the key"
    hints = {
        "string_type": f'put it in quotes: "{node.text}"' if node.text else "",
        "bool_type": truth(str(node.value)),
        "int_type": _integer(node.text),
        "tuple_type": f"write `[{node.value}]`" if isinstance(node.value, str) else "",
    }
    return hints.get(kind, "")


def _as_mapping(node: Node) -> str:
    name, above = node.path[-1], section(node.path)
    if node.value is None:
        return f"write `{name}: {{}}`"
    if (
        isinstance(node.value, str)
        and above[:1] in {("processes",), ("tasks",)}
        and len(above) == 2
    ):
        return f"write `{name}: {{command: {node.value}}}`"
    if isinstance(node.value, str) and above == ("image",):
        return f"write `image: {{repository: {node.value}}}`"
    return "write `NAME: …`, one a line" if isinstance(node.value, list) else ""


def section(path: Path) -> Path:
    """Return the part of the file that a key belongs to: a process, a task or a section."""
    inner = path[2:] if path[:1] == ("environments",) else path
    return inner[:2] if inner[:1] in {("processes",), ("tasks",)} else inner[:1]


def truth(text: str) -> str:
    """Return a hint for text that means yes or no to YAML 1.1 and to people."""
    if text.lower() in {"yes", "on", "y", "1", "true"}:
        return "write `true`"
    return "write `false`" if text.lower() in {"no", "off", "n", "0", "false"} else ""


def _integer(text: str) -> str:
    digits = text.replace("_", "").replace(",", "").lstrip("0")
    if text.isdigit() and text.startswith("0"):
        return f"write `{digits or 0}`: a leading zero means octal to some"
    if digits.isdigit():
        return f"write `{digits}`"
    number = text.rstrip("smhMB ")
    if text.endswith("s") and number.isdigit():
        return f"write `{number}`: the unit is seconds"
    return ""


def suggestion(word: str, names: Sequence[str], otherwise: str = "") -> str:
    """Return "did you mean …?" where a name is close to the word."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), [name.lower() for name in names], 1, 0.6)
    for name in names:
        if close and name.lower() == close[0]:
            return f"did you mean `{name}`?"
    return otherwise


def unknown(node: Node, loc: Sequence[int | str]) -> Found:
    """Tell of a key that no model has."""
    name = str(loc[-1])
    above = shape(loc[:-1])
    if name in LATER.get(above, ()):
        return Found(node.place, node.path, "not supported by this version yet", "remove it")
    return Found(node.place, node.path, "unknown key", _known(name, above))


def shape(loc: Sequence[int | str]) -> Path:
    """Return the place of a model: ("processes", "web") → ("processes", "*")."""
    steps = ["*" if isinstance(step, int) else step for step in loc]
    for above in (("processes",), ("tasks",), ("processes", "*", "with"), ("start", "hooks")):
        if len(steps) > len(above) and tuple(steps[: len(above)]) == above:
            steps[len(above)] = "*"
    return tuple(steps)


def keys(model: type[schema.Model]) -> list[str]:
    """Return the keys of a model as they stand in the file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _known(name: str, above: Path) -> str:
    names = keys(MODELS[above]) if above in MODELS else []
    synonym = SYNONYMS.get(name.lower(), "")
    if synonym in names:
        return f"did you mean `{synonym}`?"
    homes = [place for place, model in MODELS.items() if name in keys(model)]
    close = suggestion(name, names)
    if close or not homes:
        return close or f"known here: {', '.join(names)}"
    return f"`{name}` belongs under {_where(homes[0])}"


def _where(place: Path) -> str:
    return "/".join("NAME" if step == "*" else str(step) for step in place) or "the top level"
