"""Whatever stands in the place of kaiun.yml, the answer is a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaiun.config import discover, load
from kaiun.errors import ConfigError, ConfigErrors

GOOD = "app: shop\nimage: {repository: shop}\n"


def problem(path: Path | None) -> ConfigError:
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    (only,) = caught.value.problems
    return only


def test_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    told = problem(tmp_path / "kaiun.yml")
    assert told.message == "there is no such file"
    assert str(tmp_path / "kaiun.yml") in told.hint


def test_directory(tmp_path: Path) -> None:
    told = problem(tmp_path)
    assert told.message == "expected a file, got a directory"
    assert told.hint == f"name {tmp_path / 'kaiun.yml'}"


def test_file_in_the_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert problem(tmp_path / "file" / "kaiun.yml").message == "cannot be read: Not a directory"


def test_path_that_cannot_be(tmp_path: Path) -> None:
    assert problem(tmp_path / "a\0b").message.startswith("cannot be read: ")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Give up the rights of root, which may read everything, while the test runs."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_permission_denied(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_text(GOOD)
    load(file)
    file.chmod(0)
    request.getfixturevalue("nobody")
    told = problem(file)
    assert told.message == "cannot be read: Permission denied"
    assert told.hint == "look at its permissions"


def test_binary_file(tmp_path: Path) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(64))
    told = problem(file)
    assert told.message == "the character U+007F is not allowed"
    assert told.hint == "this looks like a binary file"
    assert told.where.endswith("kaiun.yml:1:1")


def test_large_file(tmp_path: Path) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_text("#" * (1 << 20) + "\n" + GOOD)
    assert problem(file).message == "the file is larger than 1 MiB"


def test_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_text(GOOD, "utf-8-sig")
    assert load(file).app == "shop"


def test_file_is_found_above_inside_the_work_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "app" / "models"
    below.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "kaiun.yml").write_text(GOOD + "prot: 1\n")
    monkeypatch.chdir(below)
    assert discover(Path.cwd()) == tmp_path / "kaiun.yml"
    assert problem(None).where == "../../kaiun.yml:3:1"


def test_file_above_the_work_tree_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "app").mkdir()
    (tmp_path / "kaiun.yml").write_text(GOOD)
    monkeypatch.chdir(tree / "app")
    told = problem(None)
    assert told.message == "there is no kaiun.yml"
    assert told.hint == (
        f"looked in {tree / 'app'} and above, up to {tree}; `kaiun init` writes one"
    )
