"""Filter patterns of CloudWatch Logs: terms, "phrases", ?any, -without, %regular expressions%.

Source: CloudWatch Logs user guide, "Filter pattern syntax". Patterns for JSON and for
space-delimited fields are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kaiun.engine.protocol.errors import invalid_parameter

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
Matcher = Callable[[str], bool]


def matcher(pattern: str) -> Matcher:
    """Return whether a message matches. Raises InvalidParameterException."""
    text = pattern.strip()
    if not text:
        return lambda _message: True
    if text[0] in "{[":
        raise invalid_parameter(
            "JSON and field filter patterns are not supported by this local ECS."
        )
    if len(text) > 1 and text[0] == text[-1] == "%":
        return _regular(text[1:-1])
    wanted: dict[str, list[str]] = {"": [], "?": [], "-": []}
    for sign, phrase, word in _TERM.findall(text):
        wanted[sign].append(phrase.replace('\\"', '"') if phrase else word)

    def matches(message: str) -> bool:
        return (
            all(term in message for term in wanted[""])
            and not any(term in message for term in wanted["-"])
            and (not wanted["?"] or any(term in message for term in wanted["?"]))
        )

    return matches


def _regular(expression: str) -> Matcher:
    try:
        compiled = re.compile(expression)
    except re.error as problem:
        raise invalid_parameter(f"Invalid filter pattern: {problem}") from None
    return lambda message: compiled.search(message) is not None
