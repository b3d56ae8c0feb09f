"""A file that is written is there as a whole, with the mode it is to have, or as it was before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaiun import files


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("data", ["é\n", b"\xff\x00", ""])
@pytest.mark.parametrize("synced", [False, True])
def test_file_has_what_was_written_and_nothing_is_beside_it(
    tmp_path: Path, data: bytes | str, synced: bool
) -> None:
    path = tmp_path / "a.json"
    path.write_text("longer than what comes")
    files.replace(path, data, synced=synced)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(tmp_path.iterdir()) == [path]


def test_who_has_opened_the_old_file_reads_on_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.replace(path, "old")
    with path.open() as reader:
        files.replace(path, "new")
        assert (reader.read(), path.read_text()) == ("old", "new")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o775])
def test_mode_is_what_was_asked_for(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    files.replace(path, "new", mode=mode)
    assert mode_of(path) == mode


def test_without_one_it_is_that_of_new_files(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a"
    files.replace(path, "new")
    assert mode_of(path) == 0o666 & ~umask


def test_what_cannot_be_replaced_stays_and_nothing_is_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        files.replace(folder, "new")
    assert list(tmp_path.iterdir()) == [folder]


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.replace(tmp_path / "none" / "a", "new")
