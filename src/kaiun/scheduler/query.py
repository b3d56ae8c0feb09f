"""The part of the cluster query language that memberOf needs.

`SUBJECT OPERATOR ARGUMENT`, joined by `and` and `or` (`and` binds tighter), without brackets:
`attribute:ecs.instance-type =~ t3.* and attribute:stack == prod or attribute:gpu exists`.
Source: developer guide, "cluster query language".
"""

from __future__ import annotations

import re
from collections.abc import Callable

Lookup = Callable[[str], str | None]

_TERM = re.compile(
    r"(?P<subject>\S+)\s+"
    r"(?:(?P<presence>exists|not_exists|!exists)"
    r"|(?P<operator>==|!=|equals|not_equals|=~|matches|in|not_in|!in)\s*(?P<argument>\S.*))",
)
_LIST = re.compile(r"[^\s,]+")


def matches(expression: str, lookup: Lookup) -> bool:
    """Return whether an expression holds; `lookup` gives a subject's value, None if unset.

    Raises ValueError for an expression that is not understood.
    """
    clauses = [
        [_term(term.strip(), lookup) for term in _split(clause, "and")]
        for clause in _split(expression, "or")
    ]
    return any(all(clause) for clause in clauses)


def _split(text: str, word: str) -> list[str]:
    return re.split(rf"\s+{word}\s+", text)


def _term(text: str, lookup: Lookup) -> bool:
    term = _TERM.fullmatch(text)
    if term is None:
        raise ValueError(f"cannot understand the expression {text!r}")
    value = lookup(term["subject"])
    if term["presence"]:
        return (value is not None) == (term["presence"] == "exists")
    return _compare(value, term["operator"], term["argument"])


def _compare(value: str | None, operator: str, argument: str) -> bool:
    match operator:
        case "==" | "equals":
            return value == argument
        case "!=" | "not_equals":
            return value != argument
        case "=~" | "matches":
            return _matches_pattern(argument, value)
        case "in":
            return value in _LIST.findall(argument.strip("[]"))
        case _:
            return value not in _LIST.findall(argument.strip("[]"))


def _matches_pattern(pattern: str, value: str | None) -> bool:
    try:
        compiled = re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"cannot understand the pattern {pattern!r}: {problem}") from None
    return value is not None and compiled.fullmatch(value) is not None
