"""What a bucket's CORS configuration answers to a page of another origin.

Source: Amazon S3 user guide, "Elements of a CORS configuration" and "How does Amazon S3 evaluate
the CORS configuration on a bucket?": the first rule counts whose origin, method and, in a
preflight, every requested header match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Headers = list[tuple[bytes, bytes]]

VARY = (b"vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method")


@dataclass(frozen=True, slots=True)
class Rule:
    """One CORSRule. `allowed_headers` are in lower case."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age_s: int | None = None

    def lets(self, origin: str, method: str, headers: Iterable[str]) -> bool:
        """Tell whether a request of this origin, with these headers, is allowed by this rule."""
        return (
            method in self.methods
            and any(_like(origin, pattern) for pattern in self.origins)
            and all(any(_like(h, p) for p in self.allowed_headers) for h in headers)
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a browser tells of a request. `headers` (of a preflight alone) are in lower case."""

    origin: str
    method: str
    headers: tuple[str, ...] = ()


def read(configuration: bytes) -> tuple[Rule, ...]:
    """Return the rules of a CORSConfiguration (XML), () of anything else."""
    from xml.etree import ElementTree  # an engine that is asked for no object does without

    try:
        root = ElementTree.fromstring(configuration)  # noqa: S314  (the side services' own)
    except ElementTree.ParseError:
        return ()
    return tuple(_rule(element) for element in root.iterfind("{*}CORSRule"))


def asked(method: str, headers: dict[str, str]) -> Asked | None:
    """Return what a request, or a preflight (OPTIONS), asks for; None when it asks for nothing."""
    origin = headers.get("origin")
    if not origin:
        return None
    if method != "OPTIONS":
        return Asked(origin, method)
    names = headers.get("access-control-request-headers", "").lower().split(",")
    wanted = tuple(name.strip() for name in names if name.strip())
    return Asked(origin, headers.get("access-control-request-method", ""), wanted)


def answer(rules: Sequence[Rule], request: Asked | None) -> Headers | None:
    """Return the headers that let the page read the answer; None where no rule does."""
    if request is None:
        return None
    for rule in rules:
        if rule.lets(request.origin, request.method, request.headers):
            return _headers(rule, request)
    return None


def _headers(rule: Rule, request: Asked) -> Headers:
    anyone = "*" in rule.origins
    told = {
        "access-control-allow-origin": "*" if anyone else request.origin,
        "access-control-allow-methods": ", ".join(rule.methods),
        "access-control-allow-headers": ", ".join(request.headers),
        "access-control-expose-headers": ", ".join(rule.exposed_headers),
        "access-control-max-age": "" if rule.max_age_s is None else str(rule.max_age_s),
        "access-control-allow-credentials": "" if anyone else "true",
    }
    return [(name.encode(), value.encode()) for name, value in told.items() if value] + [VARY]


def _rule(element: Element) -> Rule:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(found.text or "" for found in element.iterfind(f"{{*}}{name}"))

    age = element.findtext("{*}MaxAgeSeconds") or ""
    return Rule(
        texts("AllowedOrigin"),
        texts("AllowedMethod"),
        tuple(name.lower() for name in texts("AllowedHeader")),
        texts("ExposeHeader"),
        int(age) if age.isdigit() else None,
    )


def _like(text: str, pattern: str) -> bool:
    """Match a pattern with `*`, as of an origin or a header."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
