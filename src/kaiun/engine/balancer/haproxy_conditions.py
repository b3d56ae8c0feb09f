"""Conditions of rules in the words of haproxy.cfg: anonymous ACLs, patterns as regular expressions.

Source: ELB, "Condition types for listener rules": `*` stands for any characters, `?` for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from kaiun.engine.balancer.base import Rule

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:-]")


def conditions(rule: Rule) -> Iterator[str]:
    for field, values in rule.conditions.items():
        kind, _, key = field.partition(":")
        if kind == "query-string":
            yield _anonymous("query", [_query_pattern(key, value) for value in values], "-i -m reg")
        elif kind == "source-ip":
            yield _anonymous("src", values, "")
        elif kind == "http-request-method":
            yield _anonymous("method", values, "-m str")
        elif kind == "path-pattern":
            yield _anonymous("path", [f"^{_wild(v)}$" for v in values], "-m reg")
        elif kind == "host-header":
            yield _anonymous("req.hdr(host),field(1,:)", _whole(values), "-i -m reg")
        elif kind == "http-header":
            yield _anonymous(f"req.fhdr({key})", _whole(values), "-i -m reg")


def _whole(values: Sequence[str]) -> list[str]:
    return [f"^{_wild(value)}$" for value in values]


def _query_pattern(key: str, value: str) -> str:
    """KEY=VALUE as one pair of the query string; without a key, the value of any pair."""
    name = _wild(key, other="[^&=]") if key else "[^&=]*"
    return f"(^|&){name}={_wild(value, other='[^&]')}(&|$)"


def _wild(pattern: str, *, other: str = ".") -> str:
    special = {"*": f"{other}*", "?": other}
    return "".join(special.get(char) or re.escape(char) for char in pattern)


def _anonymous(fetch: str, values: Sequence[str], flags: str) -> str:
    return f"{{ {fetch} {flags} -- {' '.join(map(quote, values))} }}".replace("  ", " ")


def quote(text: str) -> str:
    """Return one word of haproxy.cfg; anything that could mean something is written in hex."""
    if not text:
        return '""'
    return "".join(
        char if _PLAIN.match(char) else "".join(f"\\x{byte:02x}" for byte in char.encode())
        for char in text
    )
