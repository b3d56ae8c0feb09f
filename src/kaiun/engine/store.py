"""State: resources are documents in memory, written through to SQLite.

Nothing is answered before it is committed: `commit()` ends every request and every turn of the loop
with one transaction. A restart reads the documents back and is where it was.

A document is a dict shaped like the API's own answer; what the engine alone needs lies under the
key "_" and never leaves the engine.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  UNIQUE (kind, key)
);
CREATE TABLE IF NOT EXISTS log_event (
  id INTEGER PRIMARY KEY, log_group TEXT NOT NULL, log_stream TEXT NOT NULL,
  timestamp INTEGER NOT NULL, ingestion_time INTEGER NOT NULL, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_event_of_stream
  ON log_event (log_group, log_stream, timestamp, id);
CREATE TABLE IF NOT EXISTS metric (
  id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL,
  UNIQUE (namespace, name, dimensions)
);
CREATE TABLE IF NOT EXISTS metric_point (
  id INTEGER PRIMARY KEY, series INTEGER NOT NULL, at REAL NOT NULL, unit TEXT NOT NULL,
  body TEXT NOT NULL, UNIQUE (series, at, unit)
);
"""


_PUT = """
INSERT INTO document (kind, key, body) VALUES (?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body
"""
_OF_BEFORE = """
ALTER TABLE document RENAME TO unordered;
{schema}
INSERT INTO document (kind, key, body) SELECT kind, key, body FROM unordered;
DROP TABLE unordered;
"""


class Table:
    """The documents of one kind, by key, in the order in which they were made.

    They keep it through restarts. After changing one in place, `touch` its key.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rendered: dict[str, bytes] = {}  # JSON of what was shown last, until touched
        self._docs: dict[str, Doc] = {}
        self._dirty: dict[str, None] = {}  # a set that keeps its order
        self._deleted: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._docs)

    def __len__(self) -> int:
        return len(self._docs)

    def __contains__(self, key: str) -> bool:
        return key in self._docs

    def __getitem__(self, key: str) -> Doc:
        return self._docs[key]

    def __setitem__(self, key: str, doc: Doc) -> None:
        if key not in self._docs:
            self._dirty.pop(key, None)
        self._docs[key] = doc
        self.touch(key)

    def __delitem__(self, key: str) -> None:
        del self._docs[key]
        self.touch(key)
        self._deleted.add(key)

    def get(self, key: str) -> Doc | None:
        return self._docs.get(key)

    def values(self) -> list[Doc]:
        return list(self._docs.values())

    def touch(self, key: str) -> None:
        self._dirty[key] = None
        self.rendered.pop(key, None)

    def load(self, key: str, doc: Doc) -> None:
        self._docs[key] = doc

    def take_changes(self) -> tuple[list[str], list[tuple[str, Doc]]]:
        """Return what was deleted, and then what was set or touched, since the last call."""
        deleted, self._deleted = list(self._deleted), set()
        dirty, self._dirty = self._dirty, {}
        return deleted, [(key, self._docs[key]) for key in dirty if key in self._docs]

    def take_back(self, deleted: list[str], changed: list[tuple[str, Doc]]) -> None:
        """Have the next `take_changes` return these too: they could not be written."""
        self._deleted.update(deleted)
        self._dirty = {**dict.fromkeys(key for key, _ in changed), **self._dirty}


class Store:
    """All tables and the database under them."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)
        if "id" not in [row[1] for row in self.db.execute("PRAGMA table_info(document)")]:
            self.db.executescript(_OF_BEFORE.format(schema=_SCHEMA))
        self._tables: dict[str, Table] = {}
        for kind, key, body in self.db.execute("SELECT kind, key, body FROM document ORDER BY id"):
            self.table(kind).load(key, json.loads(body))

    def table(self, kind: str) -> Table:
        if kind not in self._tables:
            self._tables[kind] = Table(kind)
        return self._tables[kind]

    def commit(self) -> None:
        """Write what changed, in one transaction."""
        changes = [(table, *table.take_changes()) for table in self._tables.values()]
        if not any(deleted or changed for _, deleted, changed in changes):
            return
        try:
            gone = [(t.kind, key) for t, deleted, _ in changes for key in deleted]
            kept = [(t.kind, key, _dump(doc)) for t, _, changed in changes for key, doc in changed]
            self._write(gone, kept)
        except BaseException:
            for table, deleted, changed in changes:
                table.take_back(deleted, changed)
            raise

    def _write(self, gone: list[tuple[str, str]], kept: list[tuple[str, str, str]]) -> None:
        self.db.execute("BEGIN")
        try:
            self.db.executemany("DELETE FROM document WHERE kind = ? AND key = ?", gone)
            self.db.executemany(_PUT, kept)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def clear(self, *, keep: tuple[str, ...] = ()) -> None:
        """Forget every document but those of the kinds in `keep`."""
        for table in self._tables.values():
            if table.kind not in keep:
                for key in list(table):
                    del table[key]
        for name in ("log_event", "metric_point", "metric"):
            self.db.execute(f"DELETE FROM {name}")  # noqa: S608  (our own names)
        self.commit()

    def close(self) -> None:
        self.commit()
        self.db.close()


def _dump(doc: Doc) -> str:
    return json.dumps(doc, separators=(",", ":"))
