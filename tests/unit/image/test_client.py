"""Of several docker clients the first that can build with BuildKit is taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaiun.errors import ImageError
from kaiun.image.client import Client, candidates, find, require_engine, select

BUILT_IN = 'case "$1" in --version) echo "Docker version 20.10.24+dfsg1, build 297e128";; esac'
NO_PLUGIN = """case "$1" in
  --version) echo "Docker version 28.2.2, build e6534b4";;
  *) echo "docker: unknown command: docker $1" >&2; exit 1;;
esac"""
PLUGIN = """case "$1" in
  --version) echo "Docker version 28.2.2, build e6534b4";;
  buildx) echo "github.com/docker/buildx v0.24.0 d0e5e86";;
  context) echo colima;;
esac"""
PODMAN = "echo podman version 4.3.1"
ANCIENT = 'echo "Docker version 17.09.0-ce, build afdb6d4"'


def program(directory: Path, script: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_newer_client_without_plugin_is_passed_over(tmp_path: Path) -> None:
    first, second = program(tmp_path / "a", NO_PLUGIN), program(tmp_path / "b", BUILT_IN)
    assert select((first, second)) == Client(second, "20.10.24+dfsg1", buildx=False)


def test_plugin_makes_a_newer_client_able(tmp_path: Path) -> None:
    found = select((program(tmp_path / "a", PLUGIN), program(tmp_path / "b", BUILT_IN)))
    assert (found.version, found.buildx) == ("28.2.2", True)
    assert found.build_command()[1:] == ["buildx", "build", "--load"]


def test_builder_of_the_engine_is_taken_whichever_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_BUILDER", "in-a-container")
    found = select((program(tmp_path, PLUGIN),))
    assert found.environment()["BUILDX_BUILDER"] == "colima"


def test_error_tells_what_was_tried_and_what_to_install(tmp_path: Path) -> None:
    scripts = {"new": NO_PLUGIN, "podman": PODMAN, "old": ANCIENT, "broken": "exit 3"}
    programs = tuple(program(tmp_path / name, script) for name, script in scripts.items())
    with pytest.raises(ImageError, match="no docker client here") as caught:
        select(programs)
    assert "buildx" in caught.value.hint
    reasons = [line.removeprefix(str(tmp_path)) for line in caught.value.detail]
    assert reasons == [
        "/new/docker: version 28.2.2 needs the buildx plugin, which is not installed",
        "/podman/docker: is not Docker's client",
        "/old/docker: version 17.09.0-ce is too old for BuildKit",
        "/broken/docker: is not Docker's client",
    ]


def test_machine_without_docker_is_an_error() -> None:
    with pytest.raises(ImageError, match="docker is not installed"):
        select(())


def test_candidates_come_in_the_order_of_path_each_file_once(tmp_path: Path) -> None:
    first, second = program(tmp_path / "a", ""), program(tmp_path / "b", "")
    (tmp_path / "link").mkdir()
    (tmp_path / "link/docker").symlink_to(first)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/docker").touch(mode=0o644)
    path = os.pathsep.join(str(tmp_path / name) for name in ("plain", "gone", "a", "link", "a"))
    assert candidates(path, (str(tmp_path / "b"), str(tmp_path / "a"))) == [first, second]


def test_client_is_looked_for_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    program(tmp_path / "bin", f"echo x >> {asked}\n{BUILT_IN}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert find() == find()
    assert asked.read_text() == "x\n"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "start it"),
        ("Got permission denied while trying to connect to the Docker daemon", "usermod"),
    ],
)
def test_engine_that_does_not_answer_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, hint: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    client = Client(program(tmp_path, f"echo '{said}' >&2; exit 1"), "20.10.24", buildx=False)
    with pytest.raises(ImageError, match="does not answer") as caught:
        require_engine(client)
    assert hint in caught.value.hint
    assert caught.value.detail == (said,)
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    with pytest.raises(ImageError) as caught:
        require_engine(client)
    assert "10.0.0.1" in caught.value.hint or hint == "usermod"
