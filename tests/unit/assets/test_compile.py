"""What is taken out of a container, and what goes in. tests/docker/test_assets.py has real ones."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.layers import tar

from kaiun.assets.carried import Beginning, roots, script
from kaiun.assets.compile import environment, unpacked
from kaiun.assets.groups import Group
from kaiun.assets.manifest import sha256
from kaiun.assets.store import Store
from kaiun.config.assets import Assets
from kaiun.errors import AssetsError


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    data = tar(
        {"./a/1.css": b"1", "./a/2.css": b"2"},
        {"./b.css": "a/1.css", "./c.css": "b.css", "./latest": "a", "./out": "/etc/passwd",
         "./loop": "loop"},
    )  # fmt: skip
    found = unpacked(io.BytesIO(data), Store(tmp_path))
    assert {path: content.sha256 for path, content in found.items()} == {
        "a/1.css": sha256(b"1"),
        "a/2.css": sha256(b"2"),
        "b.css": sha256(b"1"),
        "c.css": sha256(b"1"),
        "latest/1.css": sha256(b"1"),
        "latest/2.css": sha256(b"2"),
    }


def test_hard_links_count_too(tmp_path: Path) -> None:
    data = tar({"a": b"1"}, {"b": "a"}, tarfile.LNKTYPE)
    assert set(unpacked(io.BytesIO(data), Store(tmp_path))) == {"a", "b"}


def test_nothing_is_nothing_and_half_of_it_is_told(tmp_path: Path) -> None:
    assert unpacked(io.BytesIO(b""), Store(tmp_path)) == {}
    data = tar({"a": b"1", "b": bytes(4096)}, {})
    with pytest.raises(AssetsError, match="did not arrive whole"):
        unpacked(io.BytesIO(data[:2048]), Store(tmp_path))


def test_dummies_stand_back_for_what_is_set() -> None:
    given = Assets.model_validate(
        {"command": "make", "env": {"SECRET_KEY_BASE_DUMMY": "0"}, "host": "https://a.example.com"}
    )
    found = environment(Group(given, ("a",)), ("SECRET_KEY_BASE=own", "PATH=/bin"))
    assert found == {"SECRET_KEY_BASE_DUMMY": "0", "ASSET_HOST": "https://a.example.com"}


def test_cache_is_copied_and_inputs_are_new_before_the_command() -> None:
    folders, inputs = ["/app/tmp/a b", "/c"], ["app/**/*.js", "Gemfile"]
    found = script(Beginning("new", seed="good"), folders, inputs).splitlines()
    assert "cp -RPp /kaiun-cache/0/. '/app/tmp/a b'/" in found
    assert "cp -RPp /kaiun-cache/1/. /c/" in found
    assert any("for p in Gemfile app;" in line for line in found)
    assert found[-1] == 'exec "$@"'


@pytest.mark.parametrize("hidden", [(), ("tar",)])
@pytest.mark.parametrize("odd", ["plain", "a b", "two\nlines"])
def test_inputs_are_new_where_the_copy_was_made_ahead_of_time(
    tmp_path: Path, hidden: tuple[str, ...], odd: str
) -> None:
    programs, app = tmp_path / "bin", tmp_path / "app"
    programs.mkdir()
    for name in {"sh", "find", "touch", "tar"} - set(hidden):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name in (odd, "node_modules/left", "other"):
        file = app / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(0o640)
        os.utime(file, (0, 0))
    text = script(Beginning("spare", ready=True), ["/c"], ["in", "nowhere"])
    argv = ["sh", "-c", text, "kaiun", "sh", "-c", "echo went on"]
    own = {"PATH": str(programs), "TMPDIR": str(tmp_path)}
    done = subprocess.run(argv, cwd=app, env=own, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("went on\n", "")
    files = {str(p.relative_to(app / "in")): p for p in app.rglob("*") if p.is_file()}
    assert {name: file.read_text() for name, file in files.items()} == {n: n for n in files}
    assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o640}
    new = {name for name, file in files.items() if file.stat().st_mtime > 0}
    assert new == {odd, "other"}


def test_nothing_is_done_before_a_command_without_a_cache() -> None:
    assert script(Beginning("new"), ["/c"], ["app"]) == 'set -e\nexec "$@"'


def test_roots_of_inputs() -> None:
    assert roots([]) == ["."]
    assert roots(["app/assets", "**/*.js", "lib/?/x", "app/assets"]) == [".", "app/assets", "lib"]
