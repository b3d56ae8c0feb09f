"""Log lines: CloudWatch's groups, streams and events, in SQLite, bounded.

Lines are collected in memory and written at most BATCH_S later, or before anybody reads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kaiun.engine.store import Doc, Store

BATCH_S = 0.2
MAX_EVENTS = 500_000
_TRIM_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One line; times in milliseconds since the epoch."""

    id: int
    stream: str
    timestamp: int
    ingestion_time: int
    message: str


class Logbook:
    """Groups and streams are documents; events have a table of their own."""

    def __init__(self, store: Store) -> None:
        self._db = store.db
        self.groups = store.table("log_groups")
        self.streams = store.table("log_streams")
        self._pending: list[tuple[str, str, int, int, str]] = []
        self._since_trim = 0

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def ensure_group(self, name: str, arn: str, **fields: Any) -> Doc:
        """Return the group, made if missing."""
        if (group := self.groups.get(name)) is None:
            group = self.groups[name] = {
                "logGroupName": name,
                "creationTime": _now_ms(),
                "arn": arn,
                "tags": {},
                **fields,
            }
        return group

    def stream(self, group: str, stream: str) -> Doc | None:
        return self.streams.get(stream_key(group, stream))

    def ensure_stream(self, group: str, stream: str) -> Doc:
        """Return the stream, made if missing."""
        key = stream_key(group, stream)
        if (doc := self.streams.get(key)) is None:
            doc = self.streams[key] = {"logStreamName": stream, "creationTime": _now_ms()}
        return doc

    def write(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append (timestamp in ms, message) pairs to a stream that exists."""
        key = stream_key(group, stream)
        doc = self.streams[key]
        now = _now_ms()
        self._pending += [(group, stream, when, now, message) for when, message in events]
        stamps = [when for when, _ in events]
        doc["firstEventTimestamp"] = min(doc.get("firstEventTimestamp", stamps[0]), *stamps)
        doc["lastEventTimestamp"] = max(doc.get("lastEventTimestamp", 0), *stamps)
        doc["lastIngestionTime"] = now
        self.streams.touch(key)

    def flush(self) -> None:
        """Write what is pending, and drop the oldest lines above MAX_EVENTS now and then."""
        if not self._pending:
            return
        batch, self._pending = self._pending, []
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO log_event (log_group, log_stream, timestamp, ingestion_time, message)"
            " VALUES (?, ?, ?, ?, ?)",
            batch,
        )
        self._since_trim += len(batch)
        if self._since_trim >= _TRIM_EVERY:
            self._since_trim = 0
            self._trim()
        self._db.execute("COMMIT")

    def _trim(self) -> None:
        self._db.execute(
            "DELETE FROM log_event WHERE id <= (SELECT max(id) FROM log_event) - ?", (MAX_EVENTS,)
        )
        for name in self.groups:
            if days := self.groups[name].get("retentionInDays"):
                oldest = _now_ms() - days * 86_400_000
                self._db.execute(
                    "DELETE FROM log_event WHERE log_group = ? AND timestamp < ?", (name, oldest)
                )

    def page(
        self,
        group: str,
        stream: str,
        *,
        after: tuple[int, int] | None = None,
        before: tuple[int, int] | None = None,
        start: int | None = None,
        end: int | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> list[Event]:
        """Return events of one stream; positions are (timestamp, id), `end` is exclusive."""
        self.flush()
        where, values = ["log_group = ?", "log_stream = ?"], [group, stream]
        terms: list[tuple[str, list[Any]]] = []
        if after:
            terms.append(("(timestamp, id) > (?, ?)", list(after)))
        if before:
            terms.append(("(timestamp, id) < (?, ?)", list(before)))
        if start is not None:
            terms.append(("timestamp >= ?", [start]))
        if end is not None:
            terms.append(("timestamp < ?", [end]))
        for text, more in terms:
            where.append(text)
            values += more
        order = "DESC" if newest_first else "ASC"
        return self._select(where, values, f"timestamp {order}, id {order}", limit)

    def search(
        self,
        group: str,
        streams: Sequence[str] | None,
        *,
        after: tuple[int, int] | None,
        start: int | None,
        end: int | None,
        limit: int,
    ) -> list[Event]:
        """Return events of several streams of a group, oldest first."""
        self.flush()
        where, values = ["log_group = ?"], [group]
        rest: list[Any] = []
        if streams is not None:
            where.append(f"log_stream IN ({','.join('?' * len(streams))})")
            rest += streams
        if after:
            where.append("(timestamp, id) > (?, ?)")
            rest += after
        if start is not None:
            where.append("timestamp >= ?")
            rest.append(start)
        if end is not None:
            where.append("timestamp < ?")
            rest.append(end)
        return self._select(where, [*values, *rest], "timestamp, id", limit)

    def _select(self, where: list[str], values: list[Any], order: str, limit: int) -> list[Event]:
        rows = self._db.execute(
            "SELECT id, log_stream, timestamp, ingestion_time, message FROM log_event"  # noqa: S608
            f" WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?",
            (*values, limit),
        )
        return [Event(*row) for row in rows]

    def delete_stream(self, group: str, stream: str) -> None:
        self.flush()
        del self.streams[stream_key(group, stream)]
        self._db.execute(
            "DELETE FROM log_event WHERE log_group = ? AND log_stream = ?", (group, stream)
        )

    def delete_group(self, group: str) -> None:
        self.flush()
        for key in [k for k in self.streams if k.startswith(f"{group}\n")]:
            del self.streams[key]
        del self.groups[group]
        self._db.execute("DELETE FROM log_event WHERE log_group = ?", (group,))

    def streams_of(self, group: str) -> list[Doc]:
        prefix = f"{group}\n"
        return [self.streams[key] for key in self.streams if key.startswith(prefix)]


def stream_key(group: str, stream: str) -> str:
    """Return the key of a stream; neither name can contain a line break."""
    return f"{group}\n{stream}"


def _now_ms() -> int:
    return int(time.time() * 1000)
