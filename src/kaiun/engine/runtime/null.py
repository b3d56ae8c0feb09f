"""A runtime of imagined containers, for API suites and rehearsals without Docker.

How each behaves is told by labels: see behaviour.py. They outlive the engine as real ones do: they
are kept in a file of their own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kaiun.engine.clock import Clock
from kaiun.engine.runtime.base import (
    ContainerSpec,
    ContainerStatus,
    Execution,
    LogLine,
    Observation,
    Observe,
    PortBinding,
    RuntimeFailure,
    Sink,
    TaskSpec,
    Usage,
)
from kaiun.engine.runtime.behaviour import PREFIX, Behaviour, behaviour_of
from kaiun.engine.runtime.null_agenda import Agenda
from kaiun.engine.runtime.null_exec import Echo

_FIRST_PORT = 32768
_PORTS = 28000
_KILLED = 137
Row = dict[str, Any]


class NullRuntime:
    """Implements runtime.base.Runtime."""

    def __init__(
        self,
        home: Path,
        clock: Clock | None = None,
        defaults: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`defaults` are labels of containers that have none of their own."""
        self._clock = clock or Clock()
        self._defaults = defaults
        self._db = sqlite3.connect(home / "null.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS box (id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID"
        )
        self._rows: dict[str, dict[str, Row]] = defaultdict(dict)  # by task, then by name
        self._count = 0
        self._behaviours: dict[tuple[str, str], Behaviour] = {}
        self._echoes: dict[str, list[Echo]] = defaultdict(list)  # sessions, by task
        self._agenda = Agenda(self._clock)
        self._next_port = 0

    async def open(self, observe: Observe, sink: Sink) -> None:
        self._observe, self._sink = observe, sink
        for (body,) in self._db.execute("SELECT body FROM box"):
            row = json.loads(body)
            self._rows[row["task"]][row["name"]] = row
            self._count += 1
        self._next_port = self._count
        for row in [row for rows in self._rows.values() for row in rows.values()]:
            self._plan_end(row)
            observe(self._seen(row))

    def lines_kept(self) -> None:
        """These containers write nothing."""

    def hear(self) -> None:
        self._agenda.hear()

    async def prepare(self, task: TaskSpec) -> None:
        for container in task.containers:
            if reason := self._behaviour(container).pull_error:
                raise RuntimeFailure("CannotPullContainerError", reason)

    async def start(self, task: TaskSpec, name: str) -> Observation:
        if name in self._rows.get(task.task_id, ()):
            return self._seen(self._rows[task.task_id][name])
        container = next(c for c in task.containers if c.name == name)
        behaviour = self._behaviour(container)
        await self._sleep(behaviour.start_ms / 1000)
        if behaviour.start_error:
            raise RuntimeFailure("CannotStartContainerError", behaviour.start_error)
        row = self._make(task, container)
        self._save(row)
        self._plan_end(row)
        self._write(row)
        return self._seen(row)

    async def restart(self, task: TaskSpec, name: str) -> Observation:
        row = self._rows[task.task_id][name]
        if row["finished"] is not None:
            again = {"started": self._clock.now(), "judged": False}
            row |= {**again, "finished": None, "exit": None, "reason": None}
            self._save(row)
            self._plan_end(row)
            self._write(row)
        return self._seen(row)

    def _write(self, row: Row) -> None:
        """Have a container write its line as it starts."""
        if line := self._of(row).log:
            now_ms = int(self._clock.now() * 1000)
            self._sink(LogLine(row["task"], row["name"], now_ms, line))

    def _behaviour(self, container: ContainerSpec) -> Behaviour:
        return behaviour_of({**self._defaults, **container.docker_labels})

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(self._clock.real_s(seconds))

    def _make(self, task: TaskSpec, container: ContainerSpec) -> Row:
        own_address = task.network_mode == "awsvpc"
        ports = []
        for port in container.ports:
            self._next_port += 1
            host = port.host_port or _FIRST_PORT + self._next_port % _PORTS
            ports.append([port.container_port, port.container_port if own_address else host])
        self._count += 1
        number = self._count
        return {
            "task": task.task_id,
            "name": container.name,
            "id": uuid.uuid4().hex + uuid.uuid4().hex,
            "labels": {
                name: value
                for name, value in {**self._defaults, **container.docker_labels}.items()
                if name.startswith(PREFIX)
            },
            "checked": container.health_check is not None,
            "ports": [] if own_address else ports,
            "address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "started": self._clock.now(),
            "finished": None,
            "exit": None,
            "reason": None,
        }

    def _plan_end(self, row: Row) -> None:
        """Plan what will be observed of a container: its health, its own end."""
        if row["finished"] is not None:
            return
        behaviour = self._of(row)
        if behaviour.run_ms is not None:
            ends_at = row["started"] + behaviour.run_ms / 1000
            self._agenda.plan(ends_at, lambda: self._end_by_itself(row))
        if row["checked"]:
            known_at = row["started"] + behaviour.health_ms / 1000
            self._agenda.plan(known_at, lambda: self._judge(row))

    def _judge(self, row: Row) -> None:
        row["judged"] = True
        self._observe(self._seen(row))

    def _end_by_itself(self, row: Row) -> None:
        behaviour = self._of(row)
        oom = behaviour.oom is not None
        reason = "OutOfMemoryError: Container killed due to memory usage" if oom else None
        self._end(row, _KILLED if oom else behaviour.exit, reason)

    def _of(self, row: Row) -> Behaviour:
        key = (row["task"], row["name"])
        if key not in self._behaviours:
            self._behaviours[key] = behaviour_of(row["labels"])
        return self._behaviours[key]

    def _end(self, row: Row, exit_code: int, reason: str | None = None) -> None:
        if row["finished"] is not None or row["task"] not in self._rows:
            return
        for echo in self._echoes.pop(row["task"], ()):
            echo.end_now()
        row |= {"finished": self._clock.now(), "exit": exit_code, "reason": reason}
        self._save(row)
        self._observe(self._seen(row))

    def _seen(self, row: Row) -> Observation:
        running = row["finished"] is None
        return Observation(
            task_id=row["task"],
            name=row["name"],
            runtime_id=row["id"],
            status=ContainerStatus.RUNNING if running else ContainerStatus.EXITED,
            exit_code=row["exit"],
            reason=row["reason"],
            health=self._health(row),
            ports=tuple(PortBinding(c, h, "127.0.0.1") for c, h in row["ports"]),
            address=row["address"],
            image_digest="sha256:" + row["id"],
            started_at=row["started"],
            finished_at=row["finished"],
        )

    def _health(self, row: Row) -> str:
        if not row["checked"]:
            return "UNKNOWN"
        behaviour = self._of(row)
        known_at = row["started"] + behaviour.health_ms / 1000
        if not row.get("judged") and self._clock.now() < known_at:
            return "UNKNOWN"
        return behaviour.health

    async def stop(self, task_id: str, name: str, timeout_s: int) -> None:
        row = self._rows.get(task_id, {}).get(name)
        if row is None or row["finished"] is not None:
            return
        behaviour = self._of(row)
        needs_s = behaviour.stop_ms / 1000
        await self._sleep(min(needs_s, timeout_s))
        self._end(row, _KILLED if needs_s > timeout_s else behaviour.stop_exit)

    async def execute(self, task_id: str, name: str, command: Sequence[str]) -> Execution:
        if "-c" in command:
            raise RuntimeFailure("CannotExecuteError", "this container is imagined: no script runs")
        if (row := self._rows.get(task_id, {}).get(name)) is None or row["finished"] is not None:
            raise RuntimeFailure("CannotExecuteError", f"container {name} does not run")
        execution = Echo()
        self._echoes[task_id].append(execution)
        return execution

    async def hang_up(self, execution_id: str) -> None:
        """Nothing outlives the engine here."""

    async def remove(self, task_id: str) -> None:
        for row in self._rows.pop(task_id, {}).values():
            self._behaviours.pop((task_id, row["name"]), None)
            self._db.execute("DELETE FROM box WHERE id = ?", (row["id"],))

    async def usage(self, runtime_id: str) -> Usage | None:
        """These containers use nothing; what is imagined of them, metrics/meters.py knows."""
        del runtime_id
        return None

    async def tasks(self) -> set[str]:
        return set(self._rows)

    async def purge(self) -> None:
        for task_id in await self.tasks():
            await self.remove(task_id)

    async def rest(self) -> None:
        pass

    async def close(self) -> None:
        self._agenda.close()
        self._db.close()

    def is_target_healthy(self, task_id: str, path: str) -> bool:
        """Return what a target group's health check of this path would find."""
        rows = list(self._rows.get(task_id, {}).values())
        up = bool(rows) and all(row["finished"] is None for row in rows)
        own = [self._of(row) for row in rows]
        answers = all(behaviour.path in (None, path) for behaviour in own)
        return up and answers and all(behaviour.target == "healthy" for behaviour in own)

    def _save(self, row: Row) -> None:
        self._rows[row["task"]][row["name"]] = row
        self._db.execute("INSERT OR REPLACE INTO box VALUES (?, ?)", (row["id"], json.dumps(row)))
