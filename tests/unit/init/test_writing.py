"""Files are written whole, all or none, and never over one that is there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from kaiun.cli.main import run
from kaiun.errors import UsageError
from kaiun.init.writing import Outcome, write

FILES = {"kaiun.yml": "app: a\n", "Dockerfile": "FROM b\n"}
DOCKERFILE = 'FROM ruby:3.3\nEXPOSE 4000\nCMD ["rackup"]\n'


def texts(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.iterdir()}


def test_what_is_there_stays_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("mine")
    assert write(tmp_path, FILES) == Outcome(("kaiun.yml",), ("Dockerfile",))
    assert texts(tmp_path) == {"kaiun.yml": "app: a\n", "Dockerfile": "mine"}


def test_link_to_nowhere_counts_as_being_there(tmp_path: Path) -> None:
    (tmp_path / "kaiun.yml").symlink_to("elsewhere")
    assert write(tmp_path, FILES).left == ("kaiun.yml",)
    assert not (tmp_path / "elsewhere").exists()


def test_named_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("mine")
    assert write(tmp_path, FILES, ("Dockerfile",)) == Outcome(("kaiun.yml", "Dockerfile"), ())
    assert texts(tmp_path) == FILES


def test_files_have_the_mode_of_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path, FILES)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kaiun.yml").stat().st_mode) == 0o640


def test_nothing_is_left_when_one_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path, {**FILES, "missing/.dockerignore": ""})
    assert texts(tmp_path) == {}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "Tea Shop"
    root.mkdir()
    (root / "Dockerfile").write_text(DOCKERFILE)
    monkeypatch.chdir(root)
    return root


def test_verb_writes_and_leaves_all_alone_the_second_time(
    app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) == 0
    written = texts(app)
    assert written["kaiun.yml"].startswith("# tea-shop on Amazon ECS")
    assert written["Dockerfile"] == DOCKERFILE
    assert "git add kaiun.yml" in capsys.readouterr().err
    assert run(["init", "--app", "other"]) == 0
    assert texts(app) == written
    assert "kaiun.yml is there and was left as it is" in capsys.readouterr().err


def test_print_writes_nothing(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--print"]) == 0
    assert "port: 4000 # EXPOSE" in capsys.readouterr().out
    assert set(texts(app)) == {"Dockerfile"}


def test_json_tells_what_was_found_and_written(
    app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["written"] == ["kaiun.yml"]
    assert document["found"]["port"] == 4000


def test_folder_without_an_app_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 2
    assert "neither a Rails app" in capsys.readouterr().err
