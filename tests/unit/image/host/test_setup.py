"""What a host is asked to have, and how the script is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kaiun.config import load
from kaiun.errors import ImageError
from kaiun.image.host import setup, ssh

HOST = ssh.Host("build.example.com", "ann")


@pytest.mark.parametrize(
    ("image", "needs"),
    [
        (
            "{repository: 'localhost:5001/shop', host: 'ssh://ann@b'}",
            setup.Needs("shop", "ann", 5001),
        ),
        ("{repository: 'registry.example.com:5000/shop', host: 'ssh://b'}", setup.Needs("shop")),
        ("{repository: 'shop/shop'}", setup.Needs("shop")),
    ],
)
def test_a_registry_on_loopback_is_the_hosts_own(
    tmp_path: Path, image: str, needs: setup.Needs
) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_text(f"app: shop\nimage: {image}\nprocesses: {{web: {{command: puma}}}}\n")
    assert setup.needs(load(file)) == needs


def test_the_script_is_one_that_sh_can_read() -> None:
    text = setup.script(setup.Needs("shop", "o'hara", 5000))
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "user='o'\"'\"'hara'\napp=shop\nport=5000\n" in text


def fake_ssh(folder: Path, body: str, patch: pytest.MonkeyPatch) -> None:
    """Put an `ssh` on PATH that runs `body`."""
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\n{body}\n")
    program.chmod(0o755)
    patch.setenv("PATH", str(folder), prepend=":")


def test_what_the_host_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(tmp_path, "echo packages: installing git; echo ready", monkeypatch)
    said: list[str] = []
    setup.prepare(HOST, setup.Needs("shop"), said.append)
    assert said == ["packages: installing git", "ready"]


def test_a_failure_has_its_reason_evidence_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "echo 'E: no space'; echo 'error: apt-get failed'; echo 'hint: on HOST'; exit 1"
    fake_ssh(tmp_path, body, monkeypatch)
    with pytest.raises(ImageError, match="not prepared: apt-get failed") as caught:
        setup.prepare(HOST, setup.Needs("shop"), lambda _: None)
    assert caught.value.detail == ("E: no space",)
    assert caught.value.hint == "on build.example.com"


def test_a_host_that_is_not_reached_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_ssh(tmp_path, "echo 'ssh: connect: Connection refused' >&2; exit 255", monkeypatch)
    with pytest.raises(ImageError, match="cannot be reached") as caught:
        setup.prepare(HOST, setup.Needs("shop"), lambda _: None)
    assert "sshd" in caught.value.hint
