"""Where the output of a task's container can be read. Pure.

awslogs: the group of the options, stream PREFIX/CONTAINER/TASK (source: ECS developer guide, "Using
the awslogs log driver"). fluentd: kaiun sets `tag` to the log group; the local ECS files the lines
there under FAMILY/CONTAINER/TASK. On AWS a fluentd's output is wherever that fluentd sends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Place:
    """A log group, and what its stream is named for one task."""

    group: str
    prefix: str
    container: str

    def stream(self, task_id: str) -> str:
        return f"{self.prefix}/{self.container}/{task_id}"


def place(task_definition: Mapping[str, object], container: str) -> Place | None:
    """Return where to read a container's output, None when nothing keeps it."""
    family = str(task_definition.get("family", ""))
    found = [c for c in containers(task_definition) if c.get("name") == container]
    if not found:
        return None
    log = cast("Mapping[str, object]", found[0].get("logConfiguration") or {})
    options = cast("Mapping[str, str]", log.get("options") or {})
    driver = log.get("logDriver", "")
    if driver == "none":
        return None
    if driver == "fluentd":
        group = options.get("tag", "")
        return Place(group, family, container) if group else None
    group = options.get("awslogs-group") or f"/ecs/{family}"
    return Place(group, options.get("awslogs-stream-prefix") or family, container)


def containers(task_definition: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    """Return the container definitions of a task definition or of a request for one."""
    return cast("Sequence[Mapping[str, object]]", task_definition.get("containerDefinitions") or ())
