"""Replace `${…}` in the text of kaiun.yml.

    ${env:NAME}            a variable of the environment that kaiun runs in
    ${revision}            the full commit SHA
    ${file:path}           a file beside kaiun.yml, without its last newline
    ${ssm:/path}           a parameter of SSM
    ${secret:name}         a secret of Secrets Manager
    ${cfn:stack.Output}    an output of a CloudFormation stack
    $${                    a plain `${`

An unquoted value made of nothing but placeholders may become a number, true or false. What does
not exist or is empty is an error. Without a Resolver, what AWS knows stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, get_args

from kaiun.config.places import Found, Node, moved, resolve

Kind = Literal["ssm", "secret", "cfn"]
Key = tuple[str, str]

PLACEHOLDER = re.compile(r"\$(?P<escape>\$)?\{(?:(?P<body>[^{}]*)\})?")
SYNTAX: Mapping[str, tuple[str, str]] = {
    "env": (r"[A-Za-z_]\w*", "${env:NAME}"),
    "file": (r".+", "${file:path}"),
    "ssm": (r"/?[\w./-]+", "${ssm:/path}"),
    "secret": (r"[\w/+=.@:-]+", "${secret:name}"),
    "cfn": (r"[A-Za-z][\w-]*\.\w+", "${cfn:stack.Output}"),
    "revision": (r"", "${revision}"),
}
SYNONYMS = {"parameter": "ssm", "param": "ssm", "secretsmanager": "secret", "output": "cfn"}
FILE_BYTES_MAX = 1 << 20


class Resolver(Protocol):
    """Looks values up in AWS, a batch at a time.

    `resolve("ssm", ["/a", "/b"])` → {"/a": "1"}: those that do not exist are left out.
    """

    def __call__(self, kind: Kind, names: Sequence[str], /) -> Mapping[str, str]:
        """Return the values of those names that exist."""


class MissingError(Exception):
    """A placeholder without a value: why, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. Without `resolve`, what AWS knows stays unresolved."""

    root: Path
    environ: Mapping[str, str]
    revision: str | None = None
    resolve: Resolver | None = None


@dataclass(slots=True)
class Lookup:
    """What the placeholders of one tree stand for; those in neither mapping stay as written."""

    known: dict[Key, str] = field(default_factory=dict)
    missing: dict[Key, MissingError] = field(default_factory=dict)

    def secrets(self) -> frozenset[str]:
        """Return the values that must not be shown."""
        return frozenset(v for (kind, _), v in self.known.items() if kind in {"ssm", "secret"})


def interpolate(tree: Node, sources: Sources, found: list[Found]) -> tuple[Node, Lookup]:
    """Return the tree with its placeholders replaced; problems are added to `found`."""
    keys = dict.fromkeys(key for leaf in tree.leaves() for key in placeholders(leaf))
    lookup = look_up(list(keys), sources)
    return replaced(tree, lookup, found), lookup


def kept(tree: Node, found: list[Found]) -> Node:
    """Return the tree with every placeholder kept; only their syntax is checked."""
    return replaced(tree, Lookup(), found)


def unresolved(tree: Node) -> tuple[str, ...]:
    """Return the placeholders that only AWS can fill and nobody asked it to."""
    keys = {key: None for leaf in tree.leaves() for key in placeholders(leaf)}
    return tuple(f"${{{kind}:{name}}}" for kind, name in keys if kind in get_args(Kind))


def placeholders(leaf: Node, found: list[Found] | None = None) -> Iterator[Key]:
    """Yield the placeholders of one value; what is none, but looks like one, goes to `found`."""
    if not isinstance(leaf.value, str) or "${" not in leaf.value:
        return
    for match in PLACEHOLDER.finditer(leaf.value):
        if match["escape"]:
            continue
        try:
            yield parsed(match)
        except MissingError as error:
            if found is not None:
                found.append(Found(leaf.at, leaf.path, error.message, error.hint))


def parsed(match: re.Match[str]) -> Key:
    """Return kind and name of a placeholder. Raises MissingError if it is none."""
    body = match["body"]
    if body is None:
        raise MissingError(
            "'${' is not closed", "close it with `}`, or write `$${` for a plain `${`"
        )
    kind, _, name = body.partition(":")
    if kind not in SYNTAX:
        raise MissingError(f"unknown placeholder '{match[0]}'", _meant(kind, name, body))
    expression, example = SYNTAX[kind]
    if not re.fullmatch(expression, name) or ("revision" == kind != body):
        raise MissingError(f"'{match[0]}' is not complete", f"it is written `{example}`")
    return kind, name


def _meant(kind: str, name: str, body: str) -> str:
    from difflib import get_close_matches

    plain = "a plain `${` is written `$${`"
    close = get_close_matches(kind.lower(), [*SYNTAX, *SYNONYMS], 1, 0.7)
    if close and name:
        return f"did you mean `${{{SYNONYMS.get(close[0], close[0])}:{name}}}`? {plain}"
    if re.fullmatch(r"\w+", body):
        return f"write `${{env:{body}}}`; {plain}"
    return f"there are: {', '.join(SYNTAX)}; {plain}"


def look_up(keys: Sequence[Key], sources: Sources) -> Lookup:
    """Look all placeholders up, those that AWS knows in one batch of each kind."""
    lookup = Lookup()
    answers: dict[str, Mapping[str, str]] = {}
    for kind in get_args(Kind):
        names = [name for each, name in keys if each == kind]
        if names and sources.resolve:
            answers[kind] = sources.resolve(kind, names)
    for kind, name in keys:
        try:
            value = _read(kind, name, sources, answers)
        except MissingError as error:
            lookup.missing[kind, name] = error
        else:
            lookup.known |= {} if value is None else {(kind, name): value}
    return lookup


def _read(
    kind: str, name: str, sources: Sources, answers: Mapping[str, Mapping[str, str]]
) -> str | None:
    if kind == "revision":
        return sources.revision
    if kind == "env":
        return _env(name, sources)
    if kind == "file":
        return _file(name, sources)
    return _aws(kind, name, answers[kind]) if kind in answers else None


def _env(name: str, sources: Sources) -> str:
    value = sources.environ.get(name)
    if value:
        return value
    if value == "":
        raise MissingError(f"the environment variable {name} is empty", f"`export {name}=…` first")
    from difflib import get_close_matches

    close = get_close_matches(name, sources.environ, 1, 0.8)
    hint = f"did you mean `${{env:{close[0]}}}`?" if close else f"`export {name}=…` first"
    raise MissingError(f"the environment variable {name} is not set", hint)


def _file(name: str, sources: Sources) -> str:
    path = sources.root / name
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise MissingError(f"the file {name} is larger than 1 MiB")
        text = path.read_text("utf-8").removesuffix("\n")
    except FileNotFoundError:
        raise MissingError(f"there is no file {name}", "paths are relative to kaiun.yml") from None
    except UnicodeDecodeError:
        raise MissingError(f"the file {name} is not UTF-8") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MissingError(f"cannot read the file {name}: {reason}") from None
    if not text:
        raise MissingError(f"the file {name} is empty")
    return text


def _aws(kind: str, name: str, values: Mapping[str, str]) -> str:
    words = {"ssm": "SSM parameter", "secret": "secret", "cfn": "CloudFormation output"}
    value = values.get(name)
    if value:
        return value
    state = "is empty" if value == "" else "does not exist"
    raise MissingError(f"the {words[kind]} {name} {state}", "look at region and account too")


def replaced(node: Node, lookup: Lookup, found: list[Found]) -> Node:
    """Return the node with placeholders replaced, at and below it."""
    if isinstance(node.value, dict):
        return moved(node, {k: replaced(n, lookup, found) for k, n in node.value.items()})
    if isinstance(node.value, list):
        return moved(node, [replaced(item, lookup, found) for item in node.value])
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    return _leaf(node, node.value, lookup, found)


def _leaf(node: Node, text: str, lookup: Lookup, found: list[Found]) -> Node:
    problems: list[Found] = []
    keys = list(placeholders(node, problems))
    errors = [lookup.missing[key] for key in keys if key in lookup.missing]
    found += problems
    found += [Found(node.at, node.path, error.message, error.hint) for error in errors]
    if errors or problems:
        return replace(node, source=text)
    value = PLACEHOLDER.sub(lambda match: _value(match, lookup), text)
    if not keys:
        return replace(node, value=value)
    typed = resolve(value) if not node.quoted and _only_placeholders(text) else value
    return replace(node, value=value if typed is None else typed, text=value, source=text)


def _value(match: re.Match[str], lookup: Lookup) -> str:
    if match["escape"]:
        return match[0][1:]
    return lookup.known.get(parsed(match), match[0])


def _only_placeholders(text: str) -> bool:
    return not PLACEHOLDER.sub("", text)
