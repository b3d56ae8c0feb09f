"""Lessons are kept from build to build, whole or not at all."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from kaiun.image import lesson, notebook
from kaiun.image.lesson import Ground, Image, Lesson
from kaiun.image.probe import MANAGERS, Found, Need
from kaiun.image.startfile import ImageFacts

NAME = "registry.example.com/shop"
FACTS = ImageFacts(("tini", "--"), ("puma",), "app", "/app", 12, ("PATH=/bin", "A=b=c"))
FOUND = Found("", MANAGERS[0], "key", Need.LIBRARY, "tools", ("said",))
GROUND = Ground(
    ("sha256:1", "sha256:2"), {"/app/a.erb": "1"}, "instructions", 1, ("a.erb",), ("/app/p",)
)
LESSON = Lesson("recipe", FACTS, FOUND, "kaiun-python:1", "content", {"label": "x"}, GROUND)


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    assert notebook.recall(tmp_path, NAME) is None
    notebook.keep(tmp_path, NAME, LESSON, b"files")
    assert notebook.recall(tmp_path, NAME) == (LESSON, b"files")
    assert notebook.recall(tmp_path, NAME + "-other") is None


@pytest.mark.parametrize("ending", [".json", ".tar"])
def test_half_a_lesson_is_none(tmp_path: Path, ending: str) -> None:
    notebook.keep(tmp_path, NAME, LESSON, b"files")
    for path in (tmp_path / "lessons").glob(f"*{ending}"):
        path.write_bytes(b'{"format": 1}')
    assert notebook.recall(tmp_path, NAME) is None


def test_what_makes_the_image_makes_the_recipe() -> None:
    one = notebook.recipe_digest(NAME, "FROM a\n", "", [("A", "1"), ("B", "2")])
    assert one == notebook.recipe_digest(NAME, "FROM a\n", "", [("B", "2"), ("A", "1")])
    others = [
        notebook.recipe_digest(NAME, "FROM b\n", "", [("A", "1"), ("B", "2")]),
        notebook.recipe_digest(NAME, "FROM a\n", "web", [("A", "1"), ("B", "2")]),
        notebook.recipe_digest(NAME, "FROM a\n", "", [("A", "1")]),
        notebook.recipe_digest("other", "FROM a\n", "", [("A", "1"), ("B", "2")]),
    ]
    assert len({one, *others}) == 5


@pytest.fixture
def plain(tmp_path: Path) -> Image:
    """An image of the lesson's recipe with one layer of the app's own."""
    app = tmp_path / "3"
    (app / "app").mkdir(parents=True)
    (app / "app/a.erb").write_text("x")
    (app / "app/b.rb").write_text("x")
    folders = {f"sha256:{n}": tmp_path / str(n) for n in (1, 2, 3)}
    config = {"User": "app", "WorkingDir": "/app", "Env": ["PATH=/bin", "A=b=c"]}
    return Image({"Config": config}, tuple(folders), ("CMD x",), folders)


def learnt(plain: Image) -> Lesson:
    for name in ("1", "2"):
        assert plain.folders is not None
        (plain.folders[f"sha256:{name}"] / "etc").mkdir(parents=True)
        (plain.folders[f"sha256:{name}"] / "etc/x").touch()
    surveyed = lesson.survey(plain, GROUND.files, (), FACTS, FOUND)
    assert surveyed is not None
    return replace(LESSON, ground=surveyed)


def test_lesson_holds_while_nothing_but_the_app_changes(plain: Image) -> None:
    known = learnt(plain)
    assert known.ground.layers == ("sha256:1", "sha256:2")
    assert plain.folders is not None
    (plain.folders["sha256:3"] / "app/b.rb").write_text("y")
    other = {**plain.folders, "sha256:4": plain.folders["sha256:3"]}
    changed = replace(plain, layers=("sha256:1", "sha256:2", "sha256:4"), folders=other)
    assert lesson.holds(known, changed)


def test_lesson_ends_where_the_image_below_is_another(plain: Image) -> None:
    known = learnt(plain)
    assert plain.folders is not None
    config = plain.said["Config"]
    for other in (
        replace(plain, layers=("sha256:1", "sha256:3")),
        replace(plain, history=("CMD y",)),
        replace(plain, said={"Config": {**config, "User": "root"}}),
        replace(plain, said={"Config": {**config, "Env": ["PATH=/bin"]}}),
        replace(plain, said={"Config": {**config, "WorkingDir": "/"}}),
        replace(plain, folders=None),
    ):
        assert not lesson.holds(known, other)
    assert lesson.holds(known, plain)
    (plain.folders["sha256:3"] / "app/a.erb").write_text("another")
    assert not lesson.holds(known, plain)
    (plain.folders["sha256:3"] / "app/a.erb").write_text("x")
    (plain.folders["sha256:3"] / "etc").mkdir()
    (plain.folders["sha256:3"] / "etc/passwd").touch()
    assert not lesson.holds(known, plain)


def test_layer_is_packed_without_its_revision_and_gets_another(plain: Image) -> None:
    assert plain.folders is not None
    top = plain.folders["sha256:3"]
    (top / "opt/kaiun").mkdir(parents=True)
    (top / "opt/kaiun/REVISION").write_text("a" * 40 + "\n")
    (top / "app/link").symlink_to("/run/kaiun/link")
    files = lesson.packed(plain)
    assert files is not None
    with tarfile.open(fileobj=io.BytesIO(lesson.with_revision(files, "b" * 40))) as tar:
        names = tar.getnames()
        revision = tar.extractfile("opt/kaiun/REVISION")
        assert revision
        assert revision.read() == b"b" * 40 + b"\n"
        assert tar.getmember("app/link").linkname == "/run/kaiun/link"
    assert names.count("opt/kaiun/REVISION") == 1
