"""What a target is given of an event: all of it, a part, a constant, or a template filled in.

Source: EventBridge user guide, "Input transformation"; PutTargets, `Input` and `InputPath`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from kaiun.engine.store import Doc


def given(target: Doc, event: Doc, rule_arn: str) -> str:
    """Return the text that a target gets."""
    text = asked(target, event, rule_arn)
    return json.dumps(event) if text is None else text


def asked(target: Doc, event: Doc, rule_arn: str) -> str | None:
    """Return the text that a target itself asks for, None where it gets the event as it is."""
    if (transformer := target.get("InputTransformer")) is not None:
        return _transformed(transformer, event, rule_arn)
    if (path := target.get("InputPath")) is not None:
        return json.dumps(at(event, path))
    text: str | None = target.get("Input")
    return text


def _transformed(transformer: Doc, event: Doc, rule_arn: str) -> str:
    values = {n: at(event, path) for n, path in transformer.get("InputPathsMap", {}).items()}
    values["aws.events.rule-arn"] = rule_arn
    values["aws.events.rule-name"] = rule_arn.rpartition("/")[2]
    values["aws.events.event.ingestion-time"] = event.get("time", "")
    values["aws.events.event"] = values["aws.events.event.json"] = event

    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[1], "")
        return value if isinstance(value, str) else json.dumps(value)

    return re.sub("<([^<>]+)>", value_of, transformer["InputTemplate"])


def at(event: Doc, path: str) -> Any:
    """Return what is at "$.a.b" or "$.a[0]" of an event, "" where nothing is."""
    found: Any = event
    for name, index in re.findall(r"\.([^.\[\]]+)|\[([0-9]+)\]", path):
        try:
            found = found[name] if name else found[int(index)]
        except (KeyError, IndexError, TypeError):
            return ""
    return found
