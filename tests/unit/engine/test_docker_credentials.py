"""Credentials of a registry come from where the Docker client keeps them."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from kaiun.engine.runtime.docker_images import credentials

HUB = "https://index.docker.io/v1/"
HELPER = """#!/bin/sh
read server
case "$server" in
  token.test) echo '{"Username": "<token>", "Secret": "tok"}';;
  user.test) echo '{"Username": "ann", "Secret": "pw"}';;
  *) echo 'credentials not found'; exit 1;;
esac
"""


def ask(registry: str | None) -> dict[str, str] | None:
    found = asyncio.run(credentials(registry))
    return None if found is None else json.loads(base64.urlsafe_b64decode(found))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    return tmp_path


def configure(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("text", [None, "", "{", "{}"])
def test_no_configuration_is_no_credentials(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / "config.json").write_text(text)
    assert ask("user.test") is None


def test_password_in_the_file_is_used(folder: Path) -> None:
    auth = base64.b64encode(b"bob:se:cret").decode()
    configure(folder, auths={"https://r.test": {"auth": auth}, HUB: {"identitytoken": "t"}})
    assert ask("r.test") == {"username": "bob", "password": "se:cret", "serveraddress": "r.test"}
    assert ask(None) == {"identitytoken": "t", "serveraddress": HUB}
    assert ask("other.test") is None


def test_helper_is_asked(folder: Path) -> None:
    configure(folder, credsStore="missing", credHelpers={"user.test": "fake", "token.test": "fake",
                                                         "no.test": "fake"})  # fmt: skip
    assert ask("user.test") == {
        "username": "ann",
        "password": "pw",
        "serveraddress": "user.test",
    }
    assert ask("token.test") == {"identitytoken": "tok", "serveraddress": "token.test"}
    assert ask("no.test") is None
    assert ask("helper-is-not-installed.test") is None
