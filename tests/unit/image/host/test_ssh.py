"""The words for OpenSSH's client, and what its failures mean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kaiun.errors import ImageError
from kaiun.image.host.connection import remote
from kaiun.image.host.ssh import Host, failure, parse


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ssh://build.example.com", Host("build.example.com")),
        ("ssh://ann@build:2222", Host("build", "ann", 2222)),
    ],
)
def test_hosts_are_read_and_written(url: str, host: Host) -> None:
    assert parse(url) == host
    assert str(host) == url


def test_what_is_no_host_is_refused() -> None:
    with pytest.raises(ImageError, match="is no build host"):
        parse("http://build")


def test_a_name_cannot_become_an_option() -> None:
    words = Host("-oProxyCommand", "", 2222).command("true")
    assert words[-3:] == ["--", "-oProxyCommand", "true"]
    assert words[words.index("-p") + 1] == "2222"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Host key verification failed.", "ssh ann@build"),
        ("ann@build: Permission denied (publickey).", "ssh-add -l"),
        ("ssh: Could not resolve hostname build: Name or service not known", "~/.ssh/config"),
        ("connect to host build port 22: Connection refused", "sshd"),
        ("something else", "ssh ann@build true"),
    ],
)
def test_failures_say_what_to_do(said: str, hint: str) -> None:
    problem = failure(Host("build", "ann"), [said])
    assert hint in problem.hint
    assert problem.detail == (said,)
    assert problem.where == "ssh://ann@build"


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_command_finds_the_environment_whatever_the_path(tmp_path: Path, shell: str) -> None:
    home = tmp_path / "a home"
    python = home / "venvs" / "v1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)

    def run(version: str) -> list[str]:
        done = subprocess.run(
            [shell, "-c", remote(version)],
            env={"PATH": "/usr/bin:/bin", "KAIUN_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    assert run("v1")[:2] == ["-I", "-c"]
    assert "exec(i.read(int(i.readline())))" in run("v1")[2]
    assert run("v2") == ["kaiun-host unprepared"]
