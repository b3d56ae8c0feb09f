"""The rule of a composite alarm: states of other alarms, joined by AND, OR and NOT (pure).

Source: CloudWatch API reference, PutCompositeAlarm, `AlarmRule`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kaiun.scaling.alarm import AlarmState

_WORD: Final = re.compile(
    r'\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|'
    r"(?P<plain>[^\s()\"]+))\s*\)|(?P<word>AND|OR|NOT|TRUE|FALSE|[()]))"
)
Holds = Callable[[Callable[[str], AlarmState]], bool]  # told the state of each alarm


@dataclass(frozen=True, slots=True)
class CompositeRule:
    """`names`: the alarms (or their ARNs) that it looks at."""

    names: tuple[str, ...]
    holds: Holds


def parse(text: str) -> CompositeRule:
    """Return a rule. Raises ValueError."""
    reader = _Reader(text)
    try:
        holds = reader.either()
    except RecursionError:
        raise ValueError("the rule is too deep") from None
    if reader.words:
        raise ValueError(f"unexpected {_shown(reader.words[0])}")
    return CompositeRule(tuple(dict.fromkeys(reader.names)), holds)


class _Reader:
    """Takes one word after the other; NOT binds closest, then AND, then OR."""

    def __init__(self, text: str) -> None:
        self.words = _words_of(text)
        self.names: list[str] = []

    def either(self) -> Holds:
        parts = [self._both()]
        while self._takes("OR"):
            parts.append(self._both())
        return lambda state_of: any(part(state_of) for part in parts)

    def _both(self) -> Holds:
        parts = [self._one()]
        while self._takes("AND"):
            parts.append(self._one())
        return lambda state_of: all(part(state_of) for part in parts)

    def _one(self) -> Holds:
        if self._takes("NOT"):
            inner = self._one()
            return lambda state_of: not inner(state_of)
        if self._takes("("):
            inner = self.either()
            if not self._takes(")"):
                raise ValueError("a parenthesis is not closed")
            return inner
        if not self.words:
            raise ValueError("the rule ends too early")
        word = self.words.pop(0)
        if isinstance(word, str):
            if word not in ("TRUE", "FALSE"):
                raise ValueError(f"unexpected {word}")
            return lambda _: word == "TRUE"
        name, state = word
        self.names.append(name)
        return lambda state_of: state_of(name) is state

    def _takes(self, word: str) -> bool:
        if self.words and self.words[0] == word:
            self.words.pop(0)
            return True
        return False


def _words_of(text: str) -> list[str | tuple[str, AlarmState]]:
    words: list[str | tuple[str, AlarmState]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _WORD.match(text, at)
        if found is None:
            raise ValueError(f"unexpected {text[at:].strip()[:20]}")
        name = found["quoted"] or found["plain"]
        words.append((name, AlarmState(found["state"])) if name else found["word"])
        at = found.end()
    return words


def _shown(word: str | tuple[str, AlarmState]) -> str:
    return word if isinstance(word, str) else f"{word[1]}({word[0]})"
