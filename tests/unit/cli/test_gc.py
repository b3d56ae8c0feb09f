"""kaiun gc lists everything, and removes what nothing needs and nothing else."""

from __future__ import annotations

import json

import pytest

from kaiun.cli.console import Console
from kaiun.cli.gc import clear, size
from kaiun.errors import ImageError
from kaiun.image.garbage import Item, to_bytes


class Shelf:
    def __init__(self) -> None:
        self.removed: list[str] = []

    def item(self, name: str, needed: str = "", fails: bool = False) -> Item:
        def remove() -> None:
            if fails:
                raise ImageError("in use")
            self.removed.append(name)

        return Item("cache mount", name, 1_500_000, needed, remove)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_what_nothing_needs_goes_and_the_rest_is_listed(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [shelf.item("old"), shelf.item("new", "builds carry it on"), shelf.item("older")]
    clear(Console(), items, dry_run=False)
    said = capsys.readouterr()
    assert shelf.removed == ["old", "older"]
    assert "new    1.5 MB  builds carry it on" in said.out
    assert "freed 3.0 MB" in said.err


def test_dry_run_removes_nothing(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    clear(Console(json=True), [shelf.item("old")], dry_run=True)
    said = capsys.readouterr()
    assert shelf.removed == []
    assert json.loads(said.out)["freed"] == 0
    assert "would free 1.5 MB" in said.err


def test_what_cannot_go_is_told_and_does_not_count(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    clear(Console(), [shelf.item("held", fails=True), shelf.item("old")], dry_run=False)
    said = capsys.readouterr().err
    assert "held stays: in use" in said
    assert "freed 1.5 MB" in said


@pytest.mark.parametrize(
    ("text", "count"), [("71.01MB", 71_010_000), ("0B", 0), ("1.5 kB", 1500), ("N/A", 0)]
)
def test_sizes_as_docker_prints_them(text: str, count: int) -> None:
    assert to_bytes(text) == count


def test_sizes_as_people_read_them() -> None:
    assert [size(each) for each in (0, 1500, 71_010_000, 2_000_000_000)] == [
        *("0 B", "1.5 kB", "71.0 MB", "2.0 GB")
    ]
