"""Credentials are found as docker finds them, and never shown."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from kaiun.errors import ImageError
from kaiun.image.credentials import Credentials, docker_config, ecr, first_of, with_login

HUB = "https://index.docker.io/v1/"
ECR = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def configure(directory: Path, config: object) -> None:
    (directory / "config.json").write_text(json.dumps(config))


def helper(directory: Path, name: str, script: str) -> None:
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("registry.example.com", "registry.example.com"),
        ("https://registry.example.com", "registry.example.com"),
        ("https://registry.example.com/v2/", "registry.example.com"),
        ("localhost:5000", "localhost:5000"),
        (HUB, "docker.io"),
    ],
)
def test_login_is_found_under_every_spelling(docker_directory: Path, key: str, host: str) -> None:
    configure(docker_directory, {"auths": {key: {"auth": encoded("ann:pass:word")}}})
    assert docker_config()(host) == Credentials("ann", "pass:word")
    assert docker_config()("other.example.com") is None


def test_identity_token_is_found(docker_directory: Path) -> None:
    entry = {"auth": encoded("00000000:"), "identitytoken": "secret"}
    configure(docker_directory, {"auths": {"r.example.com": entry}})
    assert docker_config()("r.example.com") == Credentials("00000000", "", "secret")


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": "%%%"}, {"auth": "bm9jb2xvbg=="}])
def test_empty_or_broken_entry_is_nobody(docker_directory: Path, entry: object) -> None:
    configure(docker_directory, {"auths": {"r.example.com": entry}})
    assert docker_config()("r.example.com") is None


def test_no_settings_are_nobody_and_broken_ones_an_error(docker_directory: Path) -> None:
    assert docker_config()("r.example.com") is None
    (docker_directory / "config.json").write_text("{")
    with pytest.raises(ImageError, match="cannot read docker's configuration"):
        docker_config()("r.example.com")


def test_helper_of_the_host_comes_before_the_store(docker_directory: Path, programs: Path) -> None:
    answer = '{"ServerURL": "x", "Username": "%s", "Secret": "s"}'
    helper(programs, "one", f"read url; echo '{answer % 'one'}'")
    helper(programs, "store", f"echo '{answer % '<token>'}'")
    configure(docker_directory, {"credHelpers": {"r.example.com": "one"}, "credsStore": "store"})
    assert docker_config()("r.example.com") == Credentials("one", "s")
    assert docker_config()("docker.io") == Credentials(identity_token="s")


def test_helper_is_asked_for_the_host_through_its_input(
    docker_directory: Path, programs: Path
) -> None:
    helper(programs, "echo", """printf '{"Username": "%s", "Secret": "%s"}' "$1" "$(cat)" """)
    configure(docker_directory, {"credsStore": "echo"})
    assert docker_config()("docker.io") == Credentials("get", HUB)


def test_helper_that_knows_nothing_is_nobody(docker_directory: Path, programs: Path) -> None:
    helper(programs, "empty", "echo credentials not found in native keychain; exit 1")
    configure(docker_directory, {"credsStore": "empty"})
    assert docker_config()("docker.io") is None


@pytest.mark.parametrize("script", [None, "echo no json"])
def test_broken_helper_is_an_error(
    docker_directory: Path, programs: Path, script: str | None
) -> None:
    if script:
        helper(programs, "broken", script)
    configure(docker_directory, {"credsStore": "broken"})
    with pytest.raises(ImageError, match="docker-credential-broken") as caught:
        docker_config()("docker.io")
    assert "credsStore" in caught.value.hint


def test_ecr_is_asked_with_the_region_of_the_host() -> None:
    regions = []

    def token(region: str) -> str:
        regions.append(region)
        return encoded("AWS:secret")

    source = ecr(token, lambda host: host == "localhost:4580")
    assert source("localhost:4580") == Credentials("AWS", "secret")
    assert source("localhost:5000") is None
    assert source(ECR) == Credentials("AWS", "secret")
    assert source("registry.example.com") is None
    assert source(f"evil.example.com/{ECR}") is None
    assert source(f"{ECR}.evil.example.com") is None
    assert regions == ["", "ap-northeast-1"]


def test_first_source_that_knows_wins() -> None:
    known = Credentials("ann", "1")
    assert first_of(lambda _: None, lambda _: known, ecr(str))("r.example.com") == known
    assert first_of()("r.example.com") is None


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(Credentials("ann", "hunter2", "hunter2"))


def test_one_more_login_leaves_the_others_as_they_are() -> None:
    others = {"auths": {"a.example.com": {"auth": "x"}}, "credsStore": "pass", "detachKeys": "q"}
    config = with_login(others, "b.example.com:5000", Credentials("ann", "secret"))
    assert config == {
        "auths": {
            "a.example.com": {"auth": "x"},
            "b.example.com:5000": {"auth": "YW5uOnNlY3JldA=="},
        },
        "credsStore": "pass",
        "credHelpers": {"b.example.com:5000": ""},
        "detachKeys": "q",
    }
