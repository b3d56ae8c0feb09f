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
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_event (
  id INTEGER PRIMARY KEY, log_group TEXT NOT NULL, log_stream TEXT NOT NULL,
  timestamp INTEGER NOT NULL, ingestion_time INTEGER NOT NULL, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_event_of_stream
  ON log_event (log_group, log_stream, timestamp, id);
"""


class Table:
    """The documents of one kind, by key. After changing one in place, `touch` its key."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rendered: dict[str, bytes] = {}  # JSON of what was shown last, until touched
        self._docs: dict[str, Doc] = {}
        self._dirty: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._docs)

    def __len__(self) -> int:
        return len(self._docs)

    def __contains__(self, key: str) -> bool:
        return key in self._docs

    def __getitem__(self, key: str) -> Doc:
        return self._docs[key]

    def __setitem__(self, key: str, doc: Doc) -> None:
        self._docs[key] = doc
        self.touch(key)

    def __delitem__(self, key: str) -> None:
        del self._docs[key]
        self.touch(key)

    def get(self, key: str) -> Doc | None:
        return self._docs.get(key)

    def values(self) -> list[Doc]:
        return list(self._docs.values())

    def touch(self, key: str) -> None:
        self._dirty.add(key)
        self.rendered.pop(key, None)

    def load(self, key: str, doc: Doc) -> None:
        self._docs[key] = doc

    def take_changes(self) -> list[tuple[str, Doc | None]]:
        """Return (key, document or None for deleted) of all that changed since the last call."""
        changes = [(key, self._docs.get(key)) for key in self._dirty]
        self._dirty.clear()
        return changes


class Store:
    """All tables and the database under them."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)
        self._tables: dict[str, Table] = {}
        for kind, key, body in self.db.execute("SELECT kind, key, body FROM document"):
            self.table(kind).load(key, json.loads(body))

    def table(self, kind: str) -> Table:
        if kind not in self._tables:
            self._tables[kind] = Table(kind)
        return self._tables[kind]

    def commit(self) -> None:
        """Write what changed, in one transaction."""
        changes = [(t.kind, *c) for t in self._tables.values() for c in t.take_changes()]
        if not changes:
            return
        kept = [(k, key, _dump(doc)) for k, key, doc in changes if doc is not None]
        gone = [(k, key) for k, key, doc in changes if doc is None]
        self.db.execute("BEGIN")
        try:
            self.db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", kept)
            self.db.executemany("DELETE FROM document WHERE kind = ? AND key = ?", gone)
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            for kind, key, _doc in changes:
                self._tables[kind].touch(key)  # the next commit tries again
            raise

    def clear(self, *, keep: tuple[str, ...] = ()) -> None:
        """Forget every document but those of the kinds in `keep`."""
        for table in self._tables.values():
            if table.kind not in keep:
                for key in list(table):
                    del table[key]
        self.db.execute("DELETE FROM log_event")
        self.commit()

    def close(self) -> None:
        self.commit()
        self.db.close()


def _dump(doc: Doc) -> str:
    return json.dumps(doc, separators=(",", ":"))
