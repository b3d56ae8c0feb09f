"""Lines that containers wrote, put where CloudWatch Logs would have them.

awslogs, json-file and others: group `awslogs-group` (else /ecs/FAMILY), stream
PREFIX/CONTAINER/TASK, PREFIX being `awslogs-stream-prefix` (else the family). fluentd: group is the
record's tag, stream FAMILY/CONTAINER/TASK.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from kaiun.engine.agent import Agent
from kaiun.engine.logbook import BATCH_S
from kaiun.engine.runtime.base import LogLine
from kaiun.engine.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaiun.engine.fluent import FluentRecord

log = logging.getLogger(__name__)

EARLY_LINES = 10_000  # kept of containers that nobody has told us of yet


class TaskLogs:
    """Receives lines from the runtime and from the fluent receiver."""

    def __init__(self, world: World, agent: Agent, kept: Callable[[], None]) -> None:
        self._world = world
        self._kept = kept
        self._agent = agent
        self._early: dict[str, list[FluentRecord]] = defaultdict(list)
        self._early_count = 0
        self._flush_planned = False
        agent.on_new_container = self._deliver_early

    def line(self, line: LogLine) -> None:
        """Take a line that the runtime read."""
        if (place := self._place(line.task_id, line.container)) is not None:
            self._write(*place, line.timestamp_ms, line.message)

    def fluent_record(self, record: FluentRecord) -> None:
        """Take a record of the fluentd log driver, which knows containers by id only."""
        owner = self._agent.by_runtime_id.get(record.container_id)
        if owner is None:
            self._keep_early(record)
            return
        task = self._world.tasks.get(owner[0])
        if task is not None:
            family = task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0]
            stream = f"{family}/{owner[1]}/{owner[0]}"
            self._write(record.tag, stream, record.timestamp_ms, record.message)

    def _keep_early(self, record: FluentRecord) -> None:
        if self._early_count < EARLY_LINES:
            self._early_count += 1
            self._early[record.container_id].append(record)

    def _deliver_early(self, runtime_id: str) -> None:
        records = self._early.pop(runtime_id, [])
        self._early_count -= len(records)
        for record in records:
            self.fluent_record(record)

    def _place(self, task_id: str, container: str) -> tuple[str, str] | None:
        task = self._world.tasks.get(task_id)
        if task is None:
            return None
        definition = self._world.task_definitions[task["taskDefinitionArn"]]
        own = next(c for c in definition["containerDefinitions"] if c["name"] == container)
        options = own.get("logConfiguration", {}).get("options", {})
        family = definition["family"]
        group = options.get("awslogs-group", f"/ecs/{family}")
        prefix = options.get("awslogs-stream-prefix", family)
        return group, f"{prefix}/{container}/{task_id}"

    def _write(self, group: str, stream: str, timestamp_ms: int, message: str) -> None:
        book = self._world.logbook
        book.ensure_group(group, self._world.arn(f"log-group:{group}:*", "logs"))
        book.ensure_stream(group, stream)
        book.write(group, stream, [(timestamp_ms, message)])
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def flush(self) -> None:
        """Store what was written, and let the runtime know: after a crash it goes on there."""
        self._flush_planned = False
        self._world.logbook.flush()
        self._world.store.commit()
        self._kept()
