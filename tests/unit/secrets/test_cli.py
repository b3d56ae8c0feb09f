"""kaiun secrets, through its command line."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kaiun.cli.main import run
from kaiun.secrets.editor import MEMORY

KEY = "5" * 64
SECRET = "hunter2"
PLAINTEXT = f"# top\na: 1\nb:\n  c: {SECRET}  # why\n  d: 'x'\n"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAIUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAIUN_SECRETS_KEY", KEY)
    monkeypatch.setenv("YAML_VAULT_PASSPHRASE", "passphrase")
    for name in ("VISUAL", "EDITOR", "RAILS_MASTER_KEY", "YAML_VAULT_SIGN_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], check=True)


def kaiun(*arguments: str) -> int:
    return run(["secrets", *arguments])


def vault(text: str = PLAINTEXT, *options: str) -> Path:
    file = Path("vault.yml")
    file.write_text(text)
    assert kaiun("encrypt", "vault.yml", *(options or ("--format", "kaiun", "-k", "$.b"))) == 0
    return file


def use_editor(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    editor = Path("editor")
    editor.write_text(
        f'#!/bin/sh\nset -e\necho "$1" > seen\nstat -c \'%a\' "$1" >> seen\n'
        f'stat -c \'%a\' "$(dirname "$1")" >> seen\nenv > seen-env\n{script}\n'
    )
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor.resolve()))


def test_decrypt_writes_the_plaintext_for_the_owner_alone() -> None:
    vault()
    Path("out.yml").write_text("old")
    assert kaiun("decrypt", "vault.yml", "-o", "out.yml") == 0
    assert Path("out.yml").read_text() == PLAINTEXT
    assert stat.S_IMODE(Path("out.yml").stat().st_mode) == 0o600
    assert sorted(path.name for path in Path().iterdir() if "out" in path.name) == ["out.yml"]


def test_yaml_vault_users_keep_their_options(capfd: pytest.CaptureFixture[str]) -> None:
    options = (
        "--format",
        "yaml_vault",
        "--key",
        "$.b",
        "--cipher",
        "aes-256-gcm",
        "--salt",
        "s",
        "--key_len",
        "32",
        "--signature-key-len",
        "64",
        "--prefix",
        "E(",
        "--suffix",
        ")",
    )
    text = vault(PLAINTEXT, *options).read_text()
    assert re.search(r"c: E\(\S+--\S+--\S+\)  # why\n", text)
    assert kaiun("decrypt", "vault.yml", *options) == 0
    assert capfd.readouterr().out == PLAINTEXT


def test_edit_gives_new_ciphertext_to_what_changed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = vault().read_text().splitlines()
    use_editor(monkeypatch, f"sed -i 's/{SECRET}/other/; s/top/more/' \"$1\"")
    assert kaiun("edit", "vault.yml") == 0
    after = Path("vault.yml").read_text().splitlines()
    changed = [
        place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
    ]
    assert changed == [0, 3]
    path, mode, folder_mode = Path("seen").read_text().split()
    assert (mode, folder_mode) == ("600", "700")
    assert not Path(path).parent.exists()
    assert Path(path).is_relative_to(MEMORY) or not MEMORY.is_dir()
    assert KEY not in Path("seen-env").read_text()


@pytest.mark.parametrize(
    "script", ["exit 3", "true", "echo '[' > \"$1\"", "kill -TERM $PPID; sleep 1"]
)
def test_failed_edit_changes_nothing_and_leaves_nothing(script: str, tmp_path: Path) -> None:
    before = vault().read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        use_editor(patch, script)
        command = [sys.executable, "-c", "from kaiun.cli.main import main; main()"]
        done = subprocess.run(
            [*command, "secrets", "edit", "vault.yml"],
            check=False,
            capture_output=True,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )
    assert Path("vault.yml").read_bytes() == before
    assert not Path(Path("seen").read_text().split()[0]).parent.exists()
    assert done.returncode == {"exit 3": 2, "true": 0, "echo '[' > \"$1\"": 2}.get(script, 143)
    assert SECRET.encode() not in done.stdout + done.stderr


def test_check_names_key_paths_and_no_value(capfd: pytest.CaptureFixture[str]) -> None:
    file = vault()
    assert kaiun("check", "vault.yml", "-k", "$.b") == 0
    file.write_text(file.read_text() + f"  e: {SECRET}\n")
    assert kaiun("check", "vault.yml", "-k", "$.b,$.z") == 2
    out = capfd.readouterr().out
    assert out.splitlines() == [
        "vault.yml: $.z: no value has this key path",
        "vault.yml: $.b.e: is plaintext",
    ]
    os.environ["KAIUN_SECRETS_KEY"] = "6" * 64
    assert kaiun("check", "vault.yml") == 2
    assert "was encrypted with key" in capfd.readouterr().out


def test_check_without_file_takes_those_of_the_configuration(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("kaiun.yml").write_text(
        "app: shop\nimage: {repository: localhost:5000/shop}\nprocesses: {web: {command: x}}\n"
        "start: {secrets: [{file: vault.yml, format: kaiun, options: {key: $.b}}]}\n"
    )
    file = vault()
    assert kaiun("check") == 0
    file.write_text(PLAINTEXT)
    assert kaiun("check") == 2
    assert "$.b.c: is plaintext" in capfd.readouterr().out


def test_encrypting_twice_and_paths_that_match_nothing_are_refused() -> None:
    for form in ("kaiun", "yaml_vault"):
        before = vault(PLAINTEXT, "--format", form, "-k", "$.b").read_text()
        assert kaiun("encrypt", "vault.yml", "--format", form, "-k", "$.b") == 2
        assert kaiun("encrypt", "vault.yml", "--format", form, "-k", "$.nothing") == 2
        assert Path("vault.yml").read_text() == before


def test_erb_runs_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    text = "a: <%= File.write('ran', ENV['KAIUN_SECRETS_KEY'].to_s) %>\n"
    Path("vault.yml").write_text(text)
    assert kaiun("encrypt", "vault.yml", "--format", "kaiun") == 0
    assert kaiun("decrypt", "vault.yml") == 0
    assert capfd.readouterr().out == text
    assert not Path("ran").exists()


def test_textconv_serves_git_diff() -> None:
    vault()
    exe = Path(sys.executable).parent / "kaiun"
    Path(".gitattributes").write_text("vault.yml diff=kaiun\n")
    for arguments in (
        ["config", "diff.kaiun.textconv", f"{exe} secrets diff --textconv"],
        ["add", "vault.yml"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], check=True)
    with pytest.MonkeyPatch.context() as patch:
        use_editor(patch, f'sed -i s/{SECRET}/other/ "$1"')
        assert kaiun("edit", "vault.yml") == 0
    shown = subprocess.run(["git", "diff"], check=True, capture_output=True, text=True).stdout
    assert f"-  c: {SECRET}  # why\n+  c: other  # why\n" in shown
    assert "kaiun.1." not in shown


def test_diff_names_paths_unless_values_are_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    vault()
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"], check=True
    )
    with pytest.MonkeyPatch.context() as patch:
        use_editor(patch, f'sed -i s/{SECRET}/other/ "$1"')
        kaiun("edit", "vault.yml")
    capfd.readouterr()
    assert kaiun("diff", "vault.yml", "--json") == 0
    assert json.loads(capfd.readouterr().out) == [{"key": "$.b.c", "change": "changed"}]
    assert kaiun("diff", "vault.yml", "--show") == 0
    assert SECRET in capfd.readouterr().out


def test_keys_come_from_files_and_are_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAIUN_SECRETS_KEY")
    assert kaiun("keygen", "-o", "key") == 0
    assert stat.S_IMODE(Path("key").stat().st_mode) == 0o600
    assert kaiun("keygen", "-o", "key") == 2
    Path("v.yml").write_text("a: 1\n")
    assert kaiun("encrypt", "v.yml", "--format", "kaiun") == 2
    assert kaiun("encrypt", "v.yml", "--format", "kaiun", "--key-from", "file:key") == 0
    assert kaiun("keygen", "-o", "new") == 0
    assert kaiun("rotate", "v.yml", "--key-from", "file:key", "--new-key-from", "file:new") == 0
    assert kaiun("check", "v.yml", "--key-from", "file:key") == 2
    assert kaiun("check", "v.yml", "--key-from", "file:new") == 0


def test_rails_credentials_use_the_key_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config/credentials").mkdir(parents=True)
    Path("config/master.key").write_text("5" * 32)
    Path("config/credentials/staging.key").write_text("6" * 32 + "\n")
    use_editor(monkeypatch, "echo 'a: 1' > \"$1\"")
    assert kaiun("edit", "config/credentials.yml.enc") == 0
    assert kaiun("edit", "config/credentials/staging.yml.enc") == 0
    assert kaiun("check", "config/credentials.yml.enc", "config/credentials/staging.yml.enc") == 0
    Path("config/credentials/staging.key").write_text("5" * 32)
    assert kaiun("check", "config/credentials/staging.yml.enc") == 2
