"""Conditions of listener rules: what ELBv2 takes, what it says of the rest, what it gives back."""

from __future__ import annotations

from typing import Any

import pytest

from kaiun.engine.operations.rule_conditions import read_conditions
from kaiun.engine.protocol.errors import ApiError


def condition(field: str, config: str = "", **members: Any) -> dict[str, Any]:
    return {"Field": field, config: members} if config else {"Field": field, **members}


@pytest.mark.parametrize("field", ["host-header", "path-pattern"])
def test_values_are_given_back_both_ways(field: str) -> None:
    config = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}[field]
    both = {"Field": field, "Values": ["a"], config: {"Values": ["a"]}}
    assert read_conditions([condition(field, Values=["a"])]) == [both]
    assert read_conditions([condition(field, config, Values=["a"])]) == [both]
    assert read_conditions([both]) == [both]


def test_the_other_fields_have_their_config_alone() -> None:
    given = [
        condition("http-request-method", "HttpRequestMethodConfig", Values=["GET", "M-SEARCH"]),
        condition("source-ip", "SourceIpConfig", Values=["10.0.0.0/8", "2001:db8::/32"]),
        condition("http-header", "HttpHeaderConfig", HttpHeaderName="X-Beta", Values=["1"]),
        condition("query-string", "QueryStringConfig", Values=[{"Key": "v", "Value": "2"}]),
    ]
    assert read_conditions(given) == given


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (condition("colour"), "Condition field 'colour' must be one of"),
        (condition("host-header"), "A condition value must be specified"),
        (condition("path-pattern", "PathPatternConfig", Values=[]), "A condition value must be"),
        (condition("host-header", Values=["a", "b"]), "too many values; the limit is '1'"),
        (condition("host-header", "HostHeaderConfig", Values=["x" * 129]), "limit is '128'"),
        (condition("path-pattern", Values=["x" * 129]), "'path-pattern' value is too long"),
        (condition("http-header", "HttpHeaderConfig", Values=["1"]), "A 'HttpHeaderName' must be"),
        (
            condition("http-header", "HttpHeaderConfig", HttpHeaderName="x" * 41, Values=["1"]),
            "The 'HttpHeaderName' value is too long; the limit is '40'",
        ),
        (condition("http-request-method"), "A 'HttpRequestMethodConfig' must be specified with"),
        (
            condition("http-request-method", "HttpRequestMethodConfig", Values=["X" * 41]),
            "limit is '40'",
        ),
        (
            condition("http-request-method", "HttpRequestMethodConfig", Values=["get"]),
            "the allowed characters are A-Z, hyphen and underscore",
        ),
        (condition("source-ip"), "A 'SourceIpConfig' must be specified with 'source-ip'"),
        (condition("source-ip", "SourceIpConfig", Values=[]), "A 'source-ip' value must be"),
        (condition("source-ip", "SourceIpConfig", Values=["10.0.0.1"]), "not a valid CIDR block"),
        (condition("source-ip", "SourceIpConfig", Values=["} deny #/8"]), "not a valid CIDR"),
        (
            condition("query-string", "QueryStringConfig", Values=[{"Key": "v"}]),
            "A 'Value' must be specified in 'QueryStringKeyValuePair'",
        ),
        (
            condition(
                "query-string", "QueryStringConfig", Values=[{"Key": "x" * 129, "Value": "1"}]
            ),
            "The 'Key' value is too long",
        ),
    ],
)
def test_what_is_beyond_the_limits_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_conditions([wrong])
    assert refused.value.code == "ValidationError"
    assert said in refused.value.message
