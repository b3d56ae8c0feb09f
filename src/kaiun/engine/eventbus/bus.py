"""The buses: which rules there are, and the outbox of what they ask to be delivered.

An event is put into the outbox once for each target of each rule that it matches, in the
transaction of the change that it tells of. So a killed engine loses none, and keeps their order.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kaiun.engine.eventbus.pattern import matches
from kaiun.engine.identity import Identity
from kaiun.engine.store import Doc, Table

DEFAULT: Final = "default"
ECS: Final = "aws.ecs"
ECR: Final = "aws.ecr"
MAX_HOPS: Final = 5  # from bus to bus
_ENVELOPE: Final = ("source", "detail-type", "account", "region")
_ARCHIVE: Final = "prod.vhs.events.aws.internal"  # who manages the rule of an archive
_OWN: Final = ("ecs", "logs", "events")  # targets of the engine itself
_WITH_ARCHIVE: Final = ("sqs", "events")  # targets of the side services, who keep archives


def _nobody() -> None:
    """Stand in for the delivery where none runs."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is enabled and has an event pattern."""

    arn: str
    bus: str
    pattern: Doc
    targets: tuple[Doc, ...]
    is_archive: bool


class Bus:
    """All buses of the engine's region. `wake` has the delivery look at the outboxes."""

    def __init__(
        self, own: Table, sides: Table, identity: Identity, now: Callable[[], float]
    ) -> None:
        """`own` is the outbox of what the engine delivers by itself, `sides` of all else, which
        is slower by far."""
        self.outboxes = own, sides
        self.wake: Callable[[], None] = _nobody
        self._identity = identity
        self._now = now
        self._rules: dict[str, list[Rule]] = {}
        self._wanted: dict[str, bool] = {}  # detail type → whether a service's events of it are
        self._last = max((int(key) for box in self.outboxes for key in box), default=0)

    def take(self, rules: Iterable[Doc]) -> None:
        """Know these rules from now on, and no others."""
        self._rules, self._wanted = {}, {}
        for doc in rules:
            if (rule := _read(doc)) is not None:
                self._rules.setdefault(rule.bus, []).append(rule)

    def forget(self) -> None:
        """Forget rules and events: the side services lost what they were for."""
        self.take(())
        for box in self.outboxes:
            for key in list(box):
                del box[key]

    def wanted(self, detail_type: str, source: str = ECS) -> bool:
        """Return whether a rule may match a service's events of a type. Asked at every change."""
        if not self._rules:
            return False
        known = self._wanted.get(detail_type)
        if known is None:
            face = self._face(detail_type, source)
            rules = self._rules.get(DEFAULT, ())
            known = any(matches(_of_envelope(rule.pattern), face) for rule in rules)
            self._wanted[detail_type] = known
        return known

    def emit(self, detail_type: str, resources: list[str], detail: Doc, source: str = ECS) -> None:
        """Put an event of a service itself on the default bus."""
        self.put(self.event(detail_type, source, resources, detail))

    def event(
        self, detail_type: str, source: str, resources: list[str], detail: Doc, at: float = 0.0
    ) -> Doc:
        """Return a new event; `at` 0: now."""
        moment = datetime.fromtimestamp(at or self._now(), UTC)
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            **self._face(detail_type, source),
            "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resources": resources,
            "detail": detail,
        }

    def _face(self, detail_type: str, source: str) -> Doc:
        own = self._identity
        return {
            "detail-type": detail_type,
            "source": source,
            "account": own.account,
            "region": own.region,
        }

    def is_matched(self, event: Doc, bus: str) -> bool:
        return any(matches(rule.pattern, event) for rule in self._rules.get(bus, ()))

    def put(self, event: Doc, bus: str = DEFAULT, hops: int = 0) -> None:
        """Have an event delivered to whom the rules of a bus say."""
        rules = [rule for rule in self._rules.get(bus, ()) if matches(rule.pattern, event)]
        if not rules or hops > MAX_HOPS:
            return
        text = json.dumps(event)  # thousands may wait
        base = {"event": text, "hops": hops, "attempt": 1, "try_at": 0.0}
        if _is_for_archive(rules):
            self._add({**base, "bus": bus})
        else:
            for rule in rules:
                for target in () if rule.is_archive else rule.targets:
                    self._add({**base, "rule": rule.arn, "target": target})
        self.wake()

    def _add(self, delivery: Doc) -> None:
        self._last += 1
        own, sides = self.outboxes
        is_own = "target" in delivery and service_of(delivery["target"]) in _OWN
        (own if is_own else sides)[f"{self._last:016d}"] = delivery


def service_of(target: Doc) -> str:
    """Return the service that a target's ARN names, "" where it is no ARN."""
    arn: str = target["Arn"]
    return [*arn.split(":", 3), "", ""][2]


def _read(doc: Doc) -> Rule | None:
    """Return a rule of ListRules with its targets, None for one that no event matches."""
    if not doc.get("EventPattern") or doc["State"] == "DISABLED":
        return None
    pattern = json.loads(doc["EventPattern"])
    bus = doc.get("EventBusName", DEFAULT).rpartition("/")[2]
    is_archive = doc.get("ManagedBy") == _ARCHIVE
    return Rule(doc["Arn"], bus, pattern, tuple(doc["Targets"]), is_archive)


def _of_envelope(pattern: Doc) -> Doc:
    """Return the part of a pattern that tells events apart before they are made."""
    return {name: wanted for name, wanted in pattern.items() if name in _ENVELOPE}


def _is_for_archive(rules: list[Rule]) -> bool:
    """Return whether the side services are to deliver: an archive takes the event, and they can
    deliver to all that take it besides."""
    targets: list[Any] = [target for rule in rules for target in rule.targets]
    services = {service_of(target) for target in targets}
    return any(rule.is_archive for rule in rules) and services <= set(_WITH_ARCHIVE)
