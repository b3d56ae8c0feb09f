"""The cluster query language, of memberOf and of ListContainerInstances.

`SUBJECT OPERATOR ARGUMENT`, joined by `and` (binds tighter) and `or`, with brackets and `not(…)`:
`(attribute:ecs.instance-type =~ t3.* or attribute:gpu exists) and not(task:group == database)`.
Source: developer guide, "cluster query language".
"""

from __future__ import annotations

import re
from collections.abc import Callable

Lookup = Callable[[str], str | frozenset[str] | None]

_TERM = re.compile(
    r"(?P<subject>\S+)\s+"
    r"(?:(?P<presence>exists|not_exists|!exists)"
    r"|(?P<operator>==|!=|equals|not_equals|=~|matches|in|not_in|!in)\s*(?P<argument>\S.*))",
)
_OR, _AND = re.compile(r"\s+(?:or|\|\|)\s+"), re.compile(r"\s+(?:and|&&)\s+")
_BRACKET = re.compile(r"(?P<negation>not|!)?\s*\((?P<inner>.*)\)")
_LIST = re.compile(r"[^\s,]+")


def matches(expression: str, lookup: Lookup) -> bool:
    """Return whether an expression holds; `lookup` gives a subject's value, None if unset, a set
    where there can be several (`task:group`): one of them is enough.

    Raises ValueError for an expression that is not understood.
    """
    if len(parts := _split(expression.strip(), _OR)) > 1:
        said = [matches(part, lookup) for part in parts]  # all of them: each must be understood
        return any(said)
    if len(parts := _split(expression.strip(), _AND)) > 1:
        said = [matches(part, lookup) for part in parts]
        return all(said)
    if bracket := _BRACKET.fullmatch(expression.strip()):
        return matches(bracket["inner"], lookup) != bool(bracket["negation"])
    return _term(expression.strip(), lookup)


def _split(text: str, word: re.Pattern[str]) -> list[str]:
    """Split at a word that stands outside of brackets."""
    parts, begin = [], 0
    for found in word.finditer(text):
        before = text[: found.start()]
        if before.count("(") == before.count(")"):
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [*parts, text[begin:]]


def _term(text: str, lookup: Lookup) -> bool:
    term = _TERM.fullmatch(text)
    if term is None:
        raise ValueError(f"cannot understand the expression {text!r}")
    found = lookup(term["subject"])
    values = found if isinstance(found, frozenset) else frozenset([] if found is None else [found])
    if term["presence"]:
        return bool(values) == (term["presence"] == "exists")
    return _compare(values, term["operator"], term["argument"])


def _compare(values: frozenset[str], operator: str, argument: str) -> bool:
    match operator:
        case "==" | "equals":
            return argument in values
        case "!=" | "not_equals":
            return argument not in values
        case "=~" | "matches":
            return _matches_pattern(argument, values)
        case "in":
            return not values.isdisjoint(_LIST.findall(argument.strip("[]")))
        case _:
            return values.isdisjoint(_LIST.findall(argument.strip("[]")))


def _matches_pattern(pattern: str, values: frozenset[str]) -> bool:
    try:
        compiled = re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"cannot understand the pattern {pattern!r}: {problem}") from None
    return any(compiled.fullmatch(value) for value in values)
