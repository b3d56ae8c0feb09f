"""Which layers of an image hold nothing but the app's own files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kaiun.image import guard

ENV = ("PATH=/app/bin:/usr/bin", "GEM_HOME=/app/gems", "LANG=C")
GUARD = guard.of("/app", ENV, "/usr/bin/python3", ["config/a.yml.erb", "config/a.yml"])


def layer(folder: Path, *paths: str) -> Path:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return folder


def test_app_files_are_harmless_and_kept_ones_are_described(tmp_path: Path) -> None:
    made = layer(tmp_path, "app/models/a.rb", "app/config/a.yml.erb", "tmp/x", "var/log/y")
    states = GUARD.states(made)
    assert states is not None
    assert list(states) == ["/app/config/a.yml.erb"]
    (made / "app/config/a.yml.erb").write_text("y")
    assert GUARD.states(made) != states
    (made / "app/config/a.yml.erb").write_text("x")
    assert GUARD.states(made) == states
    (made / "app/config/a.yml.erb").chmod(0o600)
    assert GUARD.states(made) != states


@pytest.mark.parametrize(
    "path",
    [
        "etc/passwd",
        "usr/bin/python3",
        "app/gems/specifications/rails.gemspec",
        "app/vendor/bundle/x",
        "app/node_modules/.package-lock.json",
        "app/bin/ruby",
        "app/config",  # a file where a folder was
        "application/x",
    ],
)
def test_what_else_a_layer_holds_is_not(tmp_path: Path, path: str) -> None:
    assert GUARD.states(layer(tmp_path, path)) is None


def test_folders_alone_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "app/config").mkdir(parents=True)
    assert GUARD.states(tmp_path) == {}


def test_an_app_at_the_root_has_no_files_of_its_own(tmp_path: Path) -> None:
    assert guard.of("/", (), "", []).states(layer(tmp_path, "models/a.rb")) is None


def test_kept_link_is_described_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "app/config").mkdir(parents=True)
    link = tmp_path / "app/config/a.yml"
    link.symlink_to("/run/kaiun/app/config/a.yml")
    states = GUARD.states(tmp_path)
    link.unlink()
    link.symlink_to("elsewhere")
    assert states != GUARD.states(tmp_path)


@pytest.fixture
def removed(tmp_path: Path) -> Callable[[str], Path]:
    """Return what makes a layer that takes a path away."""
    if os.geteuid() != 0:
        pytest.skip("only root makes the devices that overlayfs marks removed files by")

    def make(path: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(file, 0o020000, 0)
        return tmp_path

    return make


def test_removed_file_is_seen(removed: Callable[[str], Path]) -> None:
    assert GUARD.states(removed("app/config/a.yml")) == {"/app/config/a.yml": "gone"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("app/models/a.rb", {}), ("app/models", {}), ("app/config", None), ("app/vendor", None)],
)
def test_removed_folder_may_not_hold_what_is_guarded(
    removed: Callable[[str], Path], path: str, expected: dict[str, str] | None
) -> None:
    assert GUARD.states(removed(path)) == expected


@pytest.mark.parametrize(("path", "expected"), [("app/models", {}), ("app/config", None)])
def test_opaque_folder_hides_what_is_guarded(
    tmp_path: Path, path: str, expected: dict[str, str] | None
) -> None:
    folder = tmp_path / path
    folder.mkdir(parents=True)
    try:
        os.setxattr(folder, "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("only root, on a file system with extended attributes, makes folders opaque")
    assert GUARD.states(tmp_path) == expected


def test_the_topmost_layer_is_seen() -> None:
    assert guard.joined([{"/a": "new"}, {"/a": "old", "/b": "x"}]) == {"/a": "new", "/b": "x"}
