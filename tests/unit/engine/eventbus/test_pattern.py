"""Event patterns match as EventBridge's guide says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.engine.eventbus.pattern import check, matches

EVENT: dict[str, Any] = {
    "source": "aws.ecs",
    "resources": ["arn:task/1", "arn:task/2"],
    "detail": {
        "lastStatus": "STOPPED",
        "code": 137,
        "ip": "10.0.0.9",
        "none": None,
        "on": True,
        "containers": [{"name": "web"}],
        "deep": {"er": "Value*"},
    },
}


def detail(**wanted: Any) -> dict[str, Any]:
    return {"detail": wanted}


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"source": ["aws.ec2", "aws.ecs"]},
        {"resources": ["arn:task/2"]},
        {"source": ["aws.ecs"], **detail(lastStatus=["STOPPED"])},
        detail(code=[137.0]),
        detail(none=[None]),
        detail(on=[True]),
        detail(deep={"er": [{"prefix": "Val"}]}),
        detail(lastStatus=[{"suffix": "PED"}]),
        detail(lastStatus=[{"prefix": {"equals-ignore-case": "sto"}}]),
        detail(lastStatus=[{"equals-ignore-case": "stopped"}]),
        detail(lastStatus=[{"wildcard": "ST*P*D"}]),
        detail(deep={"er": [{"wildcard": "Value\\*"}]}),
        detail(lastStatus=[{"anything-but": ["RUNNING", "PENDING"]}]),
        detail(lastStatus=[{"anything-but": {"prefix": "RUN"}}]),
        detail(lastStatus=[{"anything-but": {"wildcard": ["R*", "P*"]}}]),
        detail(code=[{"numeric": [">", 100, "<=", 137]}]),
        detail(ip=[{"cidr": "10.0.0.0/24"}]),
        detail(lastStatus=[{"exists": True}], gone=[{"exists": False}]),
        {"$or": [{"source": ["x"]}, detail(code=[1, 137])]},
    ],
)
def test_matching_patterns(pattern: dict[str, Any]) -> None:
    assert matches(pattern, EVENT)


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.ec2"]},
        {"source": "aws.ecs"},
        {"source": []},
        detail(code=["137"]),
        detail(on=[1]),
        detail(gone=["x"]),
        detail(gone={"er": ["x"]}),
        detail(none=["null"]),
        detail(code=[{"numeric": [">", 137]}]),
        detail(lastStatus=[{"numeric": ["=", 1]}]),
        detail(lastStatus=[{"anything-but": "STOPPED"}]),
        detail(lastStatus=[{"anything-but": {"suffix": "PED"}}]),
        detail(gone=[{"anything-but": "x"}]),
        detail(lastStatus=[{"wildcard": "S*X"}]),
        detail(deep={"er": [{"wildcard": "Valu\\*"}]}),
        detail(ip=[{"cidr": "10.0.1.0/24"}]),
        detail(lastStatus=[{"exists": False}]),
        detail(lastStatus=[{"no-such": "x"}]),
        {"$or": [{"source": ["x"]}, detail(code=[1])]},
    ],
)
def test_patterns_that_do_not_match(pattern: dict[str, Any]) -> None:
    assert not matches(pattern, EVENT)


@pytest.mark.parametrize(
    "pattern",
    [
        [], "x", {"a": "b"}, {"a": []}, {"a": [["b"]]}, {"a": [{"no-such": 1}]},
        {"a": [{"prefix": "a", "suffix": "b"}]}, {"a": {"b": 1}}, {"$or": [{"a": ["b"]}]},
        {"$or": [{"a": ["b"]}, {"a": []}]},
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check(pattern)


_words = st.sampled_from(
    ("source", "detail", "$or", "prefix", "suffix", "anything-but", "numeric", "cidr", "exists",
     "wildcard", "equals-ignore-case", "lastStatus", "code", "aws.ecs", ">", "\\*"),
)  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_words, _json, max_size=3), _json)
def test_no_pattern_breaks_the_engine(pattern: dict[str, Any], event: Any) -> None:
    assert matches(pattern, event) in (True, False)
