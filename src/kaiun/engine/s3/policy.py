"""Tell whether a bucket policy lets everybody do something: who has no name has no other right.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements reference". What
is doubtful counts as "no": conditions of an Allow are not evaluated, so it does not count; a Deny
counts whatever its conditions are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

Statement = dict[str, Any]

GET_OBJECT: Final = "s3:GetObject"
LIST_BUCKET: Final = "s3:ListBucket"


def allows_everyone(policy: str, action: str, resource: str) -> bool:
    """Return whether anybody may do `action` on `resource`, an ARN, by this policy (JSON)."""
    effects = {
        statement.get("Effect")
        for statement in _statements(policy)
        if _concerns_everyone(statement) and _matches(statement, action, resource)
    }
    return effects == {"Allow"}


def arn(bucket: str, key: str | None = None) -> str:
    """Return the ARN of a bucket, or of an object in it."""
    return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key is not None else "")


def _statements(policy: str) -> Iterator[Statement]:
    try:
        document = json.loads(policy)
    except ValueError:
        return
    found = document.get("Statement", []) if isinstance(document, dict) else []
    for statement in found if isinstance(found, list) else [found]:
        if isinstance(statement, dict):
            yield statement


def _concerns_everyone(statement: Statement) -> bool:
    if statement.get("Effect") == "Deny":
        principal = statement.get("Principal")
        return "NotPrincipal" in statement or _is_everyone(principal)
    return not statement.get("Condition") and _is_everyone(statement.get("Principal"))


def _is_everyone(principal: object) -> bool:
    if isinstance(principal, dict):
        return "*" in _texts(principal.get("AWS"))
    return principal == "*"


def _matches(statement: Statement, action: str, resource: str) -> bool:
    return _one_of(statement, "Action", action, re.IGNORECASE) and _one_of(
        statement, "Resource", resource
    )


def _one_of(statement: Statement, element: str, wanted: str, flags: int = 0) -> bool:
    """Tell whether Action or Resource, or else NotAction or NotResource, holds for `wanted`."""
    if element in statement:
        return any(_like(wanted, text, flags) for text in _texts(statement[element]))
    others = _texts(statement.get(f"Not{element}"))
    return bool(others) and not any(_like(wanted, text, flags) for text in others)


def _like(wanted: str, pattern: str, flags: int) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), wanted, flags | re.DOTALL) is not None


def _texts(value: object) -> list[str]:
    given = value if isinstance(value, list) else [value]
    return [text for text in given if isinstance(text, str)]
