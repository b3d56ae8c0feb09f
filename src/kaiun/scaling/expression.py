"""Metric math: expressions over time series (pure).

Known: numbers, ids, + - * / ^, comparisons, && and ||, lists in brackets, and the functions of
`calculation`. Source: CloudWatch user guide, "Using metric math".
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable

from kaiun.scaling.calculation import Scope, Series, Value, as_series, call, each, joined

_WORD = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z]\w*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>&&|\|\||[<>=!]=|[-+*/^<>(),\[\]]))"
)
_LEVELS: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: float(bool(a or b)), "OR": lambda a, b: float(bool(a or b))},
    {"&&": lambda a, b: float(bool(a and b)), "AND": lambda a, b: float(bool(a and b))},
    {
        "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
        "==": operator.eq, "!=": operator.ne,
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)  # fmt: skip


def evaluate(text: str, scope: Scope) -> Series:
    """Return an expression's series. Raises ValueError where it has none."""
    try:
        value = _Parser(text, scope).whole()
    except RecursionError:
        raise ValueError("the expression is too deep") from None
    if isinstance(value, float):
        return dict.fromkeys(scope.moments, value)
    if isinstance(value, dict):
        return value
    raise ValueError("the expression is not one time series")


class _Parser:
    """Reads and calculates at once, from left to right."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._scope = scope
        self._words = _words_of(text)
        self._at = 0

    def whole(self) -> Value:
        value = self._level(0)
        if self._next() is not None:
            raise ValueError(f"unexpected {self._next()}")
        return value

    def _next(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _take(self, wanted: str | None = None) -> str:
        word = self._next()
        if word is None or wanted not in (None, word):
            raise ValueError(f"expected {wanted or 'more'}, found {word or 'the end'}")
        self._at += 1
        return word

    def _level(self, depth: int) -> Value:
        if depth == len(_LEVELS):
            return self._power()
        value = self._level(depth + 1)
        while (sign := self._next()) in _LEVELS[depth]:
            self._take()
            assert sign is not None  # noqa: S101  (it is one of the level's)
            value = joined(_LEVELS[depth][sign], value, self._level(depth + 1))
        return value

    def _power(self) -> Value:
        base = self._unary()
        if self._next() == "^":
            self._take()
            return joined(math.pow, base, self._power())
        return base

    def _unary(self) -> Value:
        if self._next() == "-":
            self._take()
            return each(operator.neg, self._unary())
        return self._atom()

    def _atom(self) -> Value:
        word = self._take()
        if word == "(":
            value = self._level(0)
            self._take(")")
            return value
        if word == "[":
            return [as_series(item) for item in self._items("]")]
        if word[0].isdigit() or word[0] == ".":
            return float(word)
        if word[0] in "\"'":
            return word[1:-1]
        if self._next() == "(":
            self._take()
            return call(word, self._items(")"), self._scope)
        if word in self._scope.metrics:
            return self._scope.metrics[word]
        raise ValueError(f"{word} is not known")

    def _items(self, end: str) -> list[Value]:
        items: list[Value] = []
        while self._next() != end:
            items.append(self._level(0))
            if self._next() != end:
                self._take(",")
        self._take(end)
        return items


def _words_of(text: str) -> list[str]:
    words: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        found = _WORD.match(text, at)
        if found is None:
            raise ValueError(f"unexpected {text[at:].strip()[:20]}")
        words.append(found[0].strip())
        at = found.end()
    return words
