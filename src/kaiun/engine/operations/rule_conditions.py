"""Conditions of listener rules: what they may say, and how ELBv2 gives them back.

Source: ELB, "Condition types for listener rules", for the limits.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from kaiun.engine.operations.elb_common import validation_error
from kaiun.engine.store import Doc

_CONFIGS: Final = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "source-ip": "SourceIpConfig",
    "http-header": "HttpHeaderConfig",
    "query-string": "QueryStringConfig",
}
_PLAIN: Final = ("host-header", "path-pattern")  # whose Values may stand without a config
_VALUE_LIMITS: Final = {"http-request-method": 40}
_LIMIT: Final = 128
_NAME_LIMIT: Final = 40
_METHOD: Final = re.compile(r"[A-Z_-]+")


def read_conditions(given: Sequence[Doc]) -> list[Doc]:
    """Return conditions as ELBv2 gives them back: Values both ways where they may be.

    Raises ValidationError.
    """
    return [_read(condition) for condition in given]


def _read(condition: Doc) -> Doc:
    field = condition.get("Field", "")
    if field not in _CONFIGS:
        raise validation_error(f"Condition field '{field}' must be one of '{[*_CONFIGS]}'")
    name = _CONFIGS[field]
    config = condition.get(name)
    values = (config or {}).get("Values") or condition.get("Values", [])
    _check_presence(field, condition, values)
    if field == "http-header":
        header = condition[name].get("HttpHeaderName", "")
        if not header:
            raise validation_error("A 'HttpHeaderName' must be specified in 'HttpHeaderConfig'")
        _check_length("HttpHeaderName", header, _NAME_LIMIT)
    for value in values:
        _check_value(field, value)
    full = {**condition, name: {**(config or {}), "Values": values}}
    return full | ({"Values": values} if field in _PLAIN else {})


def _check_presence(field: str, condition: Doc, values: Sequence[object]) -> None:
    name = _CONFIGS[field]
    if field in _PLAIN:
        if not values:
            raise validation_error("A condition value must be specified")
        if name not in condition and len(values) > 1:
            raise validation_error(
                f"The '{field}' field contains too many values; the limit is '1'"
            )
    elif name not in condition:
        raise validation_error(f"A '{name}' must be specified with '{field}'")
    elif not values:
        raise validation_error(f"A '{field}' value must be specified")


def _check_value(field: str, value: str | Doc) -> None:
    if isinstance(value, dict):
        if not value.get("Value"):
            raise validation_error("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        for part in ("Key", "Value"):
            _check_length(part, value.get(part, ""), _LIMIT)
        return
    _check_length(field, value, _VALUE_LIMITS.get(field, _LIMIT))
    if field == "http-request-method" and not _METHOD.fullmatch(value):
        raise validation_error(
            "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen "
            "and underscore"
        )
    if field == "source-ip" and not _is_network(value):
        raise validation_error(f"The 'source-ip' value '{value}' is not a valid CIDR block")


def _check_length(what: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise validation_error(f"The '{what}' value is too long; the limit is '{limit}'")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
