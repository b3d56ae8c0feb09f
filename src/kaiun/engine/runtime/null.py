"""A runtime of imagined containers, for API suites and rehearsals without Docker.

Docker labels of a container say how it behaves (times in ms, all optional):
    kaiun.null.pull_error    the image cannot be pulled, for this reason
    kaiun.null.start_error   the container cannot be started, for this reason
    kaiun.null.start_ms      how long it takes to start (0)
    kaiun.null.run_ms        it exits by itself after this long (never; 0 where `exit` is given)
    kaiun.null.exit          exit code when it exits by itself (0)
    kaiun.null.oom           it is killed for its memory when it exits by itself
    kaiun.null.health        HEALTHY | UNHEALTHY, of the healthCheck (HEALTHY)
    kaiun.null.health_ms     how long until that is known (0)
    kaiun.null.target        healthy | unhealthy, to target groups (healthy)
    kaiun.null.path          the only path that answers their health checks (any does)
    kaiun.null.stop_ms       how long it takes to end after SIGTERM (0)
    kaiun.null.stop_exit     exit code after SIGTERM (143)
    kaiun.null.log           a line that it writes when it starts

Containers outlive the engine as real ones do: they are kept in a file of their own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kaiun.engine.runtime.base import (
    ContainerSpec,
    ContainerStatus,
    LogLine,
    Observation,
    Observe,
    PortBinding,
    RuntimeFailure,
    Sink,
    TaskSpec,
)

_FIRST_PORT = 32768
_PORTS = 28000
_KILLED = 137
Row = dict[str, Any]


class NullRuntime:
    """Implements runtime.base.Runtime."""

    def __init__(self, home: Path) -> None:
        self._db = sqlite3.connect(home / "null.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS box (id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID"
        )
        self._rows: dict[tuple[str, str], Row] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._next_port = 0

    async def open(self, observe: Observe, sink: Sink) -> None:
        self._observe, self._sink = observe, sink
        for (body,) in self._db.execute("SELECT body FROM box"):
            row = json.loads(body)
            self._rows[row["task"], row["name"]] = row
        self._next_port = len(self._rows)
        for row in list(self._rows.values()):
            self._plan_end(row)
            observe(self._seen(row))

    def lines_kept(self) -> None:
        """These containers write nothing."""

    async def prepare(self, task: TaskSpec) -> None:
        for container in task.containers:
            if reason := container.docker_labels.get("kaiun.null.pull_error"):
                raise RuntimeFailure("CannotPullContainerError", reason)

    async def start(self, task: TaskSpec, name: str) -> Observation:
        if (task.task_id, name) in self._rows:
            return self._seen(self._rows[task.task_id, name])
        container = next(c for c in task.containers if c.name == name)
        labels = container.docker_labels
        if delay := _ms(labels, "start_ms"):
            await asyncio.sleep(delay)
        if reason := labels.get("kaiun.null.start_error"):
            raise RuntimeFailure("CannotStartContainerError", reason)
        row = self._make(task, container)
        self._save(row)
        self._plan_end(row)
        if line := labels.get("kaiun.null.log"):
            self._sink(LogLine(task.task_id, name, int(time.time() * 1000), line))
        return self._seen(row)

    def _make(self, task: TaskSpec, container: ContainerSpec) -> Row:
        own_address = task.network_mode == "awsvpc"
        ports = []
        for port in container.ports:
            self._next_port += 1
            host = port.host_port or _FIRST_PORT + self._next_port % _PORTS
            ports.append([port.container_port, port.container_port if own_address else host])
        number = len(self._rows)
        return {
            "task": task.task_id,
            "name": container.name,
            "id": uuid.uuid4().hex + uuid.uuid4().hex,
            "labels": {k: v for k, v in container.docker_labels.items() if "kaiun.null" in k},
            "checked": container.health_check is not None,
            "ports": [] if own_address else ports,
            "address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "started": time.time(),
            "finished": None,
            "exit": None,
            "reason": None,
        }

    def _plan_end(self, row: Row) -> None:
        """Set the timers for what will be observed of a container: its health, its own end."""
        if row["finished"] is not None:
            return
        labels = row["labels"]
        ends_after = labels.get("kaiun.null.run_ms", "0" if "kaiun.null.exit" in labels else None)
        if ends_after is not None:
            self._at(row["started"] + int(ends_after) / 1000, lambda: self._end_by_itself(row))
        if row["checked"]:
            known_at = row["started"] + _ms(labels, "health_ms")
            self._at(known_at, lambda: self._observe(self._seen(row)))

    def _at(self, when: float, act: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(handle)
            act()

        delay = max(0.0, when - time.time())
        handle = asyncio.get_running_loop().call_later(delay, fire)
        self._timers.add(handle)

    def _end_by_itself(self, row: Row) -> None:
        oom = "kaiun.null.oom" in row["labels"]
        reason = "OutOfMemoryError: Container killed due to memory usage" if oom else None
        self._end(row, _KILLED if oom else int(row["labels"].get("kaiun.null.exit", 0)), reason)

    def _end(self, row: Row, exit_code: int, reason: str | None = None) -> None:
        if row["finished"] is not None or (row["task"], row["name"]) not in self._rows:
            return
        row |= {"finished": time.time(), "exit": exit_code, "reason": reason}
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
        if time.time() < row["started"] + _ms(row["labels"], "health_ms"):
            return "UNKNOWN"
        return str(row["labels"].get("kaiun.null.health", "HEALTHY"))

    async def stop(self, task_id: str, name: str, timeout_s: int) -> None:
        row = self._rows.get((task_id, name))
        if row is None or row["finished"] is not None:
            return
        needs = _ms(row["labels"], "stop_ms")
        if needs:
            await asyncio.sleep(min(needs, timeout_s))
        code = int(row["labels"].get("kaiun.null.stop_exit", 143))
        self._end(row, _KILLED if needs > timeout_s else code)

    async def remove(self, task_id: str) -> None:
        for key in [k for k in self._rows if k[0] == task_id]:
            row = self._rows.pop(key)
            self._db.execute("DELETE FROM box WHERE id = ?", (row["id"],))

    async def tasks(self) -> set[str]:
        return {task_id for task_id, _ in self._rows}

    async def purge(self) -> None:
        for task_id in await self.tasks():
            await self.remove(task_id)

    async def rest(self) -> None:
        pass

    async def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._db.close()

    def is_target_healthy(self, task_id: str, path: str) -> bool:
        """Return what a target group's health check of this path would find."""
        rows = [row for (owner, _), row in self._rows.items() if owner == task_id]
        up = bool(rows) and all(row["finished"] is None for row in rows)
        labels = [row["labels"] for row in rows]
        answers = all(own.get("kaiun.null.path", path) == path for own in labels)
        return up and answers and all(own.get("kaiun.null.target") != "unhealthy" for own in labels)

    def _save(self, row: Row) -> None:
        self._rows[row["task"], row["name"]] = row
        self._db.execute("INSERT OR REPLACE INTO box VALUES (?, ?)", (row["id"], json.dumps(row)))


def _ms(labels: Mapping[str, str], name: str) -> float:
    """Return a label's milliseconds as seconds."""
    return int(labels.get(f"kaiun.null.{name}", 0)) / 1000
