"""Key paths in yaml_vault's grammar: `$.production.*.password`, `$.list.[1]./token|key/`.

`$` the document · plain or quoted key · `*` anything · `/regex/` · `[n]` index · `:sym`.
A pattern matches a value when each of its parts does, from the left: `$` matches all.
"""

from __future__ import annotations

import re

from .problem import VaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Step = str | int
    Path = tuple[Step, ...]

_TOKEN = re.compile(
    r"""'(?P<single>.*?)'|"(?P<double>.*?)"|/(?P<regex>.*?)/|\[(?P<index>\d+)\]"""
    r"""|:(?P<symbol>[^.]+)|(?P<dot>\.)|(?P<plain>[^.]+)"""
)
_SIMPLE_SYMBOL = re.compile(r"[^\W\d]\w*[?!=]?")
_SIMPLE_KEY = re.compile(r"(?!\$$)[^\W\d][\w-]*")
_ANY = "*"


class Pattern:
    """One parsed key path."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parse(text)

    def matches(self, path: Path) -> bool:
        """Return whether a value at `path` (without the `$`) is under this pattern."""
        return all(
            _fits(part, path[place] if place < len(path) else None)
            for place, part in enumerate(self._parts)
        )


def patterns(keys: str | Iterable[str]) -> tuple[Pattern, ...]:
    """Return the patterns of `-k`: a text splits at commas, a list does not.

    Raises VaultError for a key path that does not begin with `$`.
    """
    texts = re.split(r",\s?", keys) if isinstance(keys, str) else list(keys)
    return tuple(Pattern(text) for text in texts)


def protects(chosen: Sequence[Pattern], path: Path) -> bool:
    """Return whether any of the patterns matches."""
    return any(pattern.matches(path) for pattern in chosen)


def show(path: Path) -> str:
    """Return the key path as one would write it for `-k`."""
    return ".".join(["$", *[_written(step) for step in path]])


def _written(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _SIMPLE_KEY.fullmatch(step) or (step[:1] == ":" and _SIMPLE_SYMBOL.fullmatch(step[1:])):
        return step
    quote = '"' if "'" in step else "'"
    return quote + step.encode("unicode_escape").decode("ascii") + quote


def _parse(text: str) -> list[Step | re.Pattern[str]]:
    found = list(_TOKEN.finditer(text))
    if not found or found[0].group() != "$":
        raise VaultError(f"a key path begins with `$`, this one does not: {text!r}")
    return [_part(token) for token in found[1:] if token.lastgroup != "dot"]


def _part(token: re.Match[str]) -> Step | re.Pattern[str]:
    kind, text = token.lastgroup, token[token.lastgroup or 0]
    if kind == "regex":
        try:
            return re.compile(text)
        except re.error as error:
            raise VaultError(f"not a regular expression: /{text}/ ({error.msg})") from None
    if kind == "index":
        return int(text)
    if kind == "symbol":
        return f":{text}" if _SIMPLE_SYMBOL.fullmatch(text) else f':"{text}"'
    return text


def _fits(part: Step | re.Pattern[str], step: Step | None) -> bool:
    if part == _ANY:
        return True
    if isinstance(part, re.Pattern):
        return isinstance(step, str) and part.search(step) is not None
    return type(part) is type(step) and part == step
