"""What was found out is kept: facts by the digest of the file, and layers by their diff id.

One SQLite file in the state home, shared by all builds. Rows of another version of the scanner
are void. Where the state home cannot be written, nothing is kept, and everything works.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from kaiun.cpu.facts import SCANNER, Facts, load

FILE = "cpu.sqlite"
_BUSY_S = 10.0
_AT_ONCE = 500  # parameters of one query
_TABLES = """
create table if not exists facts (digest text primary key, body text) without rowid;
create table if not exists layers (diff_id text primary key, body text) without rowid;
"""


class Store:
    """Use it in one thread at a time. `file` is None for one in memory."""

    def __init__(self, connection: sqlite3.Connection, file: Path | None = None) -> None:
        self._connection = connection
        self.file = file

    def facts(self, digests: Iterable[str]) -> dict[str, Facts | None]:
        """Return the facts that are known; None for a file that does not run."""
        found = self._rows("facts", "digest", digests)
        return {digest: load(body) if body else None for digest, body in found.items()}

    def layers(self, diff_ids: Iterable[str]) -> dict[str, str]:
        return self._rows("layers", "diff_id", diff_ids)

    def keep(self, facts: Mapping[str, Facts | None], layers: Mapping[str, str]) -> None:
        """Keep both in one transaction: a layer is known only with all of its files.

        On a full disk, or in a file of another user, nothing is kept.
        """
        files = [(digest, known.dump() if known else "") for digest, known in facts.items()]
        with suppress(sqlite3.OperationalError), self._connection as write:
            write.executemany("insert or replace into facts values (?, ?)", files)
            write.executemany("insert or replace into layers values (?, ?)", layers.items())

    def _rows(self, table: str, key: str, wanted: Iterable[str]) -> dict[str, str]:
        keys, found = list(dict.fromkeys(wanted)), dict[str, str]()
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"select * from {table} where {key} in ({marks})"  # noqa: S608 (our own names)
            found.update(self._connection.execute(query, some).fetchall())
        return found


@contextmanager
def opened(home: Path) -> Iterator[Store]:
    """Yield the store in the state home; one in memory where that cannot be."""
    file: Path | None = home / FILE
    try:
        connection = _connect(home)
    except (OSError, sqlite3.Error):
        file, connection = None, sqlite3.connect(":memory:")
        connection.executescript(_TABLES)
    with closing(connection):
        yield Store(connection, file)


def reading(file: Path) -> Store:
    """Return the store in a file, to read only, for the life of a process."""
    return Store(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True), file)


def _connect(home: Path) -> sqlite3.Connection:
    home.mkdir(parents=True, exist_ok=True)
    (home / FILE).touch()  # by SQLite it would not be the group's, whatever the umask
    connection = sqlite3.connect(home / FILE, timeout=_BUSY_S)
    if connection.execute("pragma user_version").fetchone()[0] != SCANNER:
        connection.executescript(
            "pragma journal_mode=wal; drop table if exists facts; drop table if exists layers;"
            f"{_TABLES} pragma user_version={SCANNER};"
        )
    return connection
