"""Vault files at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.entry import Entry, item, last_line

from kaiun.cli.main import run

KEY = "ab" * 32
PASSWORD = "correct-horse-battery"


@pytest.fixture
def sealed(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in the work folder; key in KAIUN_SECRETS_KEY."""
    monkeypatch.setenv("KAIUN_SECRETS_KEY", KEY)
    file = entry.work / "secrets.yml"
    file.write_text(f"# of the shop\nproduction:\n  password: {PASSWORD}\n")
    assert run(["secrets", "encrypt", "--format", "kaiun", str(file)]) == 0
    assert PASSWORD not in file.read_text()
    return file


def vault(**given: Any) -> list[Any]:
    keys = {"KAIUN_SECRETS_KEY": given.pop("key", "env:KAIUN_SECRETS_KEY")}
    whole = {
        "file": "secrets.yml",
        "to": "open.yml",
        "format": "kaiun",
        "options": {},
        "keys": keys,
    }
    return ["secrets", [item("secrets.yml", **{**whole, **given})]]


def test_file_is_opened_for_its_owner_alone(entry: Entry, sealed: Path) -> None:
    entry.make(steps=[vault()], keys=["KAIUN_SECRETS_KEY"])
    done = entry.run("env", KAIUN_SECRETS_KEY=KEY)
    assert KEY not in done.stdout + done.stderr
    file = entry.work / "open.yml"
    assert file.read_text() == f"# of the shop\nproduction:\n  password: {PASSWORD}\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_key_may_be_in_a_file(entry: Entry, sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    entry.make(steps=[vault(key=f"file:{tmp_path}/key")])
    assert entry.run("true").returncode == 0
    assert PASSWORD in (entry.work / "open.yml").read_text()


def test_wrong_key_is_one_line_with_the_key_path_and_no_value(entry: Entry, sealed: Path) -> None:
    entry.make(steps=[vault()], keys=["KAIUN_SECRETS_KEY"])
    done = entry.run("true", KAIUN_SECRETS_KEY="cd" * 32)
    assert done.returncode == 67
    line = "kaiun: start failed at secrets secrets.yml: $.production.password: "
    assert last_line(done).startswith(line)
    assert "cd" * 32 not in done.stderr
    assert sorted(path.name for path in entry.work.iterdir()) == ["secrets.yml"]


def test_missing_key_is_named(entry: Entry, sealed: Path) -> None:
    done = entry.make(steps=[vault()]).run("true")
    assert (done.returncode, "KAIUN_SECRETS_KEY is not set" in last_line(done)) == (67, True)


@pytest.mark.parametrize("data", [b"", b"\0\xff" * 999, b"a: kaiun.1.", b"- [" * 5000])
def test_odd_file_ends_in_one_line_or_opens(entry: Entry, sealed: Path, data: bytes) -> None:
    sealed.write_bytes(data)
    done = entry.make(steps=[vault()]).run("true", KAIUN_SECRETS_KEY=KEY)
    assert done.returncode in (0, 67)
    assert "Traceback" not in done.stderr
