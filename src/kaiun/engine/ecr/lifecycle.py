"""Lifecycle policies: which images of a repository expire.

Source: Amazon ECR user guide, "Lifecycle policy evaluation rules", "Lifecycle policy parameters".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from kaiun.engine.ecr.images import Image

DAY_S: Final = 86_400
_COUNT: Final = "imageCountMoreThan"
_AGE: Final = "sinceImagePushed"


@dataclass(frozen=True, slots=True)
class Rule:
    """`prefixes` and `patterns` are of tags; all of them have to be met, each by some tag."""

    priority: int
    tag_status: str  # tagged | untagged | any
    count_type: str
    count: int
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def selects(self, image: Image) -> bool:
        if self.tag_status != "any" and (self.tag_status == "tagged") != bool(image.tags):
            return False
        return all(any(t.startswith(p) for t in image.tags) for p in self.prefixes) and all(
            any(fnmatchcase(t, _literal(p)) for t in image.tags) for p in self.patterns
        )


def _literal(pattern: str) -> str:
    """Return a pattern in which the asterisk alone is special."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def parse(text: str) -> list[Rule]:
    """Return the rules by priority. Raises ValueError with what ECR says is wrong."""
    try:
        rules = [_rule(item) for item in json.loads(text)["rules"]]
    except (KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise ValueError(f"Lifecycle policy validation failure: {problem!r}") from None
    except json.JSONDecodeError:
        raise ValueError("Lifecycle policy validation failure: not JSON") from None
    if not rules:
        raise ValueError("Lifecycle policy validation failure: array is too short: rules")
    priorities = [rule.priority for rule in rules]
    if len(set(priorities)) != len(priorities):
        raise ValueError("Lifecycle policy validation failure: rulePriority must be unique")
    rules.sort(key=lambda rule: rule.priority)
    if any(rule.tag_status == "any" for rule in rules[:-1]):
        text = "a rule with tagStatus 'any' must have the lowest priority"
        raise ValueError(f"Lifecycle policy validation failure: {text}")
    return rules


def _rule(item: dict[str, Any]) -> Rule:
    selection = item["selection"]
    rule = Rule(
        priority=_positive(item["rulePriority"], "rulePriority"),
        tag_status=_one_of(selection["tagStatus"], ("tagged", "untagged", "any"), "tagStatus"),
        count_type=_one_of(selection["countType"], (_COUNT, _AGE), "countType"),
        count=_positive(selection["countNumber"], "countNumber"),
        prefixes=_texts(selection.get("tagPrefixList", [])),
        patterns=_texts(selection.get("tagPatternList", [])),
    )
    _one_of(item["action"]["type"], ("expire",), "action.type")
    is_named = bool(rule.prefixes or rule.patterns)
    if (rule.tag_status == "tagged") != is_named or (rule.prefixes and rule.patterns):
        raise ValueError(
            "Lifecycle policy validation failure: tagPrefixList or tagPatternList is needed with "
            "tagStatus 'tagged', and with no other"
        )
    if (selection.get("countUnit") == "days") != (rule.count_type == _AGE):
        text = f"countUnit must be 'days' with countType '{_AGE}', and absent with '{_COUNT}'"
        raise ValueError(f"Lifecycle policy validation failure: {text}")
    return rule


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"Lifecycle policy validation failure: {name} must be a positive integer")
    return value


def _one_of(value: Any, allowed: Sequence[str], name: str) -> str:
    if value not in allowed:
        text = f"{name} must be one of {', '.join(allowed)}"
        raise ValueError(f"Lifecycle policy validation failure: {text}")
    return str(value)


def _texts(items: Any) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError("Lifecycle policy validation failure: tags must be strings")
    return tuple(items)


def expiring(rules: Sequence[Rule], images: Sequence[Image], now: float) -> dict[str, int]:
    """Return the digests of the images that expire, each with its rule's priority.

    A rule counts images that one before it expires as if they were there, but an image that a rule
    selects by its tags is never expired by a later one.
    """
    found: dict[str, int] = {}
    taken: set[str] = set()
    for rule in rules:
        selected = [image for image in images if rule.selects(image)]
        old = _beyond(rule, selected, now)
        found |= {image.digest: rule.priority for image in old if image.digest not in taken}
        taken |= {image.digest for image in selected}
    return found


def _beyond(rule: Rule, images: list[Image], now: float) -> list[Image]:
    if rule.count_type == _AGE:
        return [i for i in images if i.pushed_at < now - rule.count * DAY_S]
    newest_first = sorted(images, key=lambda image: image.pushed_at, reverse=True)
    return newest_first[rule.count :]
