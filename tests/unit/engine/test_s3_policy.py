"""Whether a bucket policy lets everybody read an object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kaiun.engine.s3.policy import GET_OBJECT, LIST_BUCKET, allows_everyone, arn

ALLOW: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::assets/*",
}
DENY = {**ALLOW, "Effect": "Deny", "Resource": "arn:aws:s3:::assets/private/*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def readable(text: str, key: str = "a.css", bucket: str = "assets") -> bool:
    return allows_everyone(text, GET_OBJECT, arn(bucket, key))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["arn:aws:iam::1:root", "*"]}},
        {"Action": "s3:*"},
        {"Action": ["s3:PutObject", "s3:getobject"]},
        {"Action": "s3:Get*"},
        {"Resource": "*"},
        {"Resource": ["arn:aws:s3:::other/*", "arn:aws:s3:::assets/a.*"]},
        {"Resource": "arn:aws:s3:::assets/?.css"},
    ],
    ids=str,
)
def test_everyone_may_read_what_the_policy_says(change: dict[str, Any]) -> None:
    assert readable(policy(ALLOW | change))


@pytest.mark.parametrize(
    "change",
    [
        {"Principal": {"AWS": "arn:aws:iam::1:root"}},
        {"Principal": {"Service": "*"}},
        {"Principal": {"CanonicalUser": "*"}},
        {"Action": "s3:GetObjectAcl"},
        {"Action": "s3:PutObject"},
        {"Resource": "arn:aws:s3:::assets"},
        {"Resource": "arn:aws:s3:::assets/A.css"},
        {"Resource": "arn:aws:s3:::other/*"},
        {"Resource": "arn:aws:s3:::assets/[a].css"},
        {"Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.1"}}},
        {"Effect": "allow"},
        {"Effect": "Deny"},
    ],
    ids=str,
)
def test_nobody_may_read_what_it_does_not_say(change: dict[str, Any]) -> None:
    assert not readable(policy(ALLOW | change))


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '"x"', "{}", '{"Statement": ["x", 3]}'])
def test_nobody_may_read_without_a_policy(text: str) -> None:
    assert not readable(text)


def test_a_statement_may_stand_alone() -> None:
    assert readable(json.dumps({"Statement": ALLOW}))


def test_deny_wins() -> None:
    text = policy(ALLOW, DENY)
    assert readable(text, "a.css")
    assert not readable(text, "private/a.css")


def test_conditional_deny_counts_and_one_of_somebody_else_does_not() -> None:
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    assert not readable(policy(ALLOW, {**DENY, "Resource": "*", "Condition": plain}))
    other = {"AWS": "arn:aws:iam::1:root"}
    assert readable(policy(ALLOW, {**DENY, "Resource": "*", "Principal": other}))


def test_not_principal_action_and_resource_mean_all_others() -> None:
    some = {"AWS": "arn:aws:iam::1:root"}
    bare = {"Effect": "Deny", "NotPrincipal": some, "Action": "*", "Resource": "*"}
    assert not readable(policy(ALLOW, bare))
    others = {k: v for k, v in ALLOW.items() if k != "Action"} | {"NotAction": "s3:PutObject"}
    assert readable(policy(others))
    assert not readable(policy(others | {"NotAction": "s3:Get*"}))


def test_listing_is_of_the_bucket_itself() -> None:
    text = policy({**ALLOW, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::assets"})
    assert allows_everyone(text, LIST_BUCKET, arn("assets"))
    assert not readable(text)
