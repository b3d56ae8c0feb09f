"""The store: order that lasts, a commit that fails, a database of before."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kaiun.engine.store import Store

NAMES = ["c", "a", "b"]


def keys(path: Path) -> list[str]:
    """Return the keys as a store that was opened anew has them."""
    store = Store(path)
    found = list(store.table("things"))
    store.close()
    return found


def test_documents_keep_their_order_through_restarts(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = Store(path)
    table = store.table("things")
    for name in NAMES:
        table[name] = {"name": name}
    store.commit()
    table["c"] = {"name": "changed"}
    store.close()
    assert keys(path) == NAMES


def test_document_that_was_made_again_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = Store(path)
    table = store.table("things")
    for name in NAMES:
        table[name] = {}
    store.commit()
    del table["c"]
    table["c"] = {}
    store.close()
    assert keys(path) == ["a", "b", "c"]


def test_what_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = Store(path)
    table = store.table("things")
    table["a"] = {}
    store.commit()
    del table["a"]
    table["b"] = {"no JSON": object()}
    table["c"] = {}
    with pytest.raises(TypeError):
        store.commit()
    table["b"] = {}
    store.close()
    assert keys(path) == ["b", "c"]


def test_database_of_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE document (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key)) "
            "WITHOUT ROWID"
        )
        db.execute("INSERT INTO document VALUES ('things', 'old', '{}')")
    db.close()
    assert keys(path) == ["old"]
