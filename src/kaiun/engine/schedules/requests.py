"""From a target with EcsParameters, and its input, to the request of RunTask.

Sources: EcsParameters of both services; EventBridge Scheduler user guide, "Adding context
attributes"; EventBridge user guide, "Input transformation".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kaiun.engine.eventbus import inputs
from kaiun.engine.schedules.timetable import EVENTS
from kaiun.engine.store import Doc

STARTED_BY = {"scheduler": "chronos-schedule", "events": "events-rule"}
STARTED_BY_LENGTH = 36  # as RunTask allows; longer names are cut
_SAME = (
    ("LaunchType", "launchType"),
    ("PlatformVersion", "platformVersion"),
    ("Group", "group"),
    ("NetworkConfiguration", "networkConfiguration"),
    ("CapacityProviderStrategy", "capacityProviderStrategy"),
    ("EnableECSManagedTags", "enableECSManagedTags"),
    ("EnableExecuteCommand", "enableExecuteCommand"),
    ("PlacementConstraints", "placementConstraints"),
    ("PlacementStrategy", "placementStrategy"),
    ("PropagateTags", "propagateTags"),
    ("ReferenceId", "referenceId"),
)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an invocation may tell its target."""

    arn: str  # of the schedule or rule
    execution_id: str
    moment: float
    attempt: int
    account: str
    region: str
    event: Doc | None = None  # that a rule's pattern has matched; None: it was time

    @property
    def time(self) -> str:
        return datetime.fromtimestamp(self.moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_for_ecs(target: Doc) -> bool:
    return ":cluster/" in target["Arn"] and "EcsParameters" in target


def run_task_request(entry: Doc, target: Doc, occasion: Occasion) -> Doc:
    """Return what RunTask is asked. Raises ValueError on an input that is no object of JSON."""
    own = target["EcsParameters"]
    request: dict[str, Any] = {
        "cluster": target["Arn"],
        "taskDefinition": own["TaskDefinitionArn"],
        "count": own.get("TaskCount", 1),
        "startedBy": f"{STARTED_BY[entry['source']]}/{entry['name']}"[:STARTED_BY_LENGTH],
    }
    request |= {theirs: own[name] for name, theirs in _SAME if name in own}
    if "NetworkConfiguration" in own:
        request["networkConfiguration"] = _network(own["NetworkConfiguration"])
    if tags := [pair for tag in own.get("Tags", ()) for pair in _pairs(tag)]:
        request["tags"] = tags
    if overrides := _overrides(entry, target, occasion):
        request["overrides"] = overrides
    return request


def _network(configuration: Doc) -> Doc:
    vpc = configuration.get("awsvpcConfiguration")
    if vpc is None:
        return {}
    return {"awsvpcConfiguration": {name[0].lower() + name[1:]: v for name, v in vpc.items()}}


def _pairs(tag: Doc) -> list[Doc]:
    """Return a tag in ECS's form; Scheduler's are maps, of key and value or of many tags."""
    lowered = {name.lower(): value for name, value in tag.items()}
    if "key" in lowered and lowered.keys() <= {"key", "value"}:
        return [lowered]
    return [{"key": name, "value": value} for name, value in tag.items()]


def _overrides(entry: Doc, target: Doc, occasion: Occasion) -> Doc:
    if entry["source"] == EVENTS:
        text = inputs.asked(target, occasion.event or scheduled_event(occasion), occasion.arn)
    else:
        text = _with_context(target.get("Input"), occasion)
    if text is None:
        return {}
    overrides = json.loads(text)
    if not isinstance(overrides, dict):
        raise ValueError("the input is not an object of JSON")  # noqa: TRY004
    return overrides


def _with_context(text: str | None, occasion: Occasion) -> str | None:
    if text is None:
        return None
    values = {
        "<aws.scheduler.schedule-arn>": occasion.arn,
        "<aws.scheduler.scheduled-time>": occasion.time,
        "<aws.scheduler.execution-id>": occasion.execution_id,
        "<aws.scheduler.attempt-number>": str(occasion.attempt),
    }
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def scheduled_event(occasion: Occasion) -> Doc:
    """Return the event that a rule's schedule makes."""
    return {
        "version": "0",
        "id": occasion.execution_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": occasion.account,
        "time": occasion.time,
        "region": occasion.region,
        "resources": [occasion.arn],
        "detail": {},
    }
