"""Lifecycle policies pick images by the rules of ECR's guide."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kaiun.engine.ecr.images import Image
from kaiun.engine.ecr.lifecycle import DAY_S, expiring, parse

NOW = 100 * DAY_S


def rule(priority: int, status: str = "any", **selection: Any) -> dict[str, Any]:
    chosen = {"countType": "imageCountMoreThan", "countNumber": 1, **selection}
    return {
        "rulePriority": priority,
        "selection": {"tagStatus": status, **chosen},
        "action": {"type": "expire"},
    }


def policy(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": list(rules)})


def image(name: str, *tags: str, age_days: float = 0.0) -> Image:
    return Image(name, tags, NOW - age_days * DAY_S)


def expired(text: str, *images: Image) -> dict[str, int]:
    return expiring(parse(text), images, NOW)


def test_all_but_the_newest_expire_by_count() -> None:
    images = [image("old", age_days=3), image("new", age_days=1), image("older", age_days=5)]
    assert expired(policy(rule(1)), *images) == {"old": 1, "older": 1}


def test_old_ones_expire_by_age() -> None:
    by_age = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    images = [image("a", age_days=14.1), image("b", age_days=13.9), image("c", "v1", age_days=20)]
    assert expired(policy(rule(1, "untagged", **by_age)), *images) == {"a": 1}


def test_all_prefixes_have_to_be_met() -> None:
    text = policy(rule(1, "tagged", tagPrefixList=["alpha", "beta"]))
    images = [
        image("both", "alpha1", "beta1", age_days=2),
        image("one", "alpha2", age_days=2),
        image("new", "alpha3", "beta2"),
    ]
    assert expired(text, *images) == {"both": 1}


def test_patterns_know_the_asterisk_alone() -> None:
    text = policy(rule(1, "tagged", tagPatternList=["v*[1]"]))
    images = [image("hit", "v2[1]", age_days=2), image("miss", "v21"), image("new", "v3[1]")]
    assert expired(text, *images) == {"hit": 1}


def test_what_a_rule_selects_is_safe_from_later_ones() -> None:
    text = policy(rule(1, "tagged", tagPrefixList=["prod"], countNumber=10), rule(2))
    images = [image("kept", "prod1", age_days=9), image("a", age_days=1), image("b", age_days=2)]
    assert expired(text, *images) == {"b": 2}


def test_a_later_rule_counts_what_an_earlier_one_expires() -> None:
    text = policy(rule(1, "tagged", tagPrefixList=["p"]), rule(2, countNumber=2))
    images = [image("p1", "p1", age_days=1), image("p2", "p2", age_days=2), image("x", age_days=3)]
    assert expired(text, *images) == {"p2": 1, "x": 2}


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", policy(), policy(rule(1), rule(1)), policy(rule(1), rule(2)),
        policy(rule(0)), policy(rule(1, "tagged")), policy(rule(1, "any", tagPrefixList=["a"])),
        policy(rule(1, countUnit="days")), policy(rule(1, countType="sinceImagePushed")),
        policy(rule(1, countNumber=True)), policy({**rule(1), "action": {"type": "keep"}}),
        policy(rule(1, "tagged", tagPrefixList="a")),
    ],
)  # fmt: skip
def test_wrong_policies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Lifecycle policy validation failure"):
        parse(text)
