"""Images come from a registry only when they have to."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers import Harness, docker

from kaiun.engine.registry import Registry
from kaiun.engine.runtime.base import ContainerStatus, Observation, RuntimeFailure

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        not (shutil.which("docker-registry") or shutil.which("registry")),
        reason="no registry program is installed",
    ),
]


@pytest.fixture
def repository(tmp_path: Path, image: str) -> Iterator[str]:
    """A repository of a registry of its own that holds the test image as `:one`."""
    registry = Registry(tmp_path / "registry", 0)
    name = f"localhost:{asyncio.run(registry.start())}/shop"
    try:
        docker("tag", image, f"{name}:one")
        docker("push", "-q", f"{name}:one")
        yield name
        forms = ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}")
        for reference in {r for f in forms for r in listed(name, f) if "<none>" not in r}:
            docker("rmi", "-f", reference)
    finally:
        asyncio.run(registry.close(stop=True))


def listed(name: str, form: str) -> list[str]:
    return docker("images", "--digests", "--format", form, name).split()


def digest(reference: str) -> str:
    return docker("inspect", "-f", "{{index .RepoDigests 0}}", reference).partition("@")[2]


def up(harness: Harness, image: str) -> Observation:
    async def body() -> Observation:
        await harness.open()
        try:
            return await harness.up(harness.task(replace(harness.shell("sleep 9"), image=image)))
        finally:
            await harness.runtime.purge()
            await harness.runtime.close()

    return asyncio.run(body())


def made(image: str, value: str, tag: str) -> None:
    """Push another image under the tag, and leave none of it here."""
    container = docker("create", "--env", f"V={value}", image, "true")
    docker("commit", container, tag)
    docker("push", "-q", tag)
    docker("rm", container)
    docker("rmi", "-f", tag)


def test_missing_digest_is_pulled(harness: Harness, repository: str, image: str) -> None:
    made(image, "x", f"{repository}:two")
    docker("pull", "-q", f"{repository}:two")
    wanted = digest(f"{repository}:two")
    docker("rmi", "-f", f"{repository}:two")
    seen = up(harness, f"{repository}@{wanted}")
    assert (seen.status, seen.image_digest) == (ContainerStatus.RUNNING, wanted)


def test_tag_of_a_loopback_registry_is_looked_up_anew(
    harness: Harness, repository: str, image: str
) -> None:
    before = digest(f"{repository}:one")
    made(image, "newer", f"{repository}:one")
    docker("tag", image, f"{repository}:one")
    seen = up(harness, f"{repository}:one")
    assert seen.image_digest not in {None, before}


def test_local_image_that_no_registry_has_is_taken(harness: Harness, image: str) -> None:
    assert up(harness, image).status is ContainerStatus.RUNNING


def test_image_that_the_registry_lost_is_taken_from_here(
    harness: Harness, repository: str, image: str
) -> None:
    docker("tag", image, f"{repository}:local-only")
    assert up(harness, f"{repository}:local-only").status is ContainerStatus.RUNNING


def test_unknown_tag_is_refused_in_the_words_of_the_daemon(
    harness: Harness, repository: str
) -> None:
    expected = r"CannotPullContainerError: Error response from daemon: manifest .*unknown"
    with pytest.raises(RuntimeFailure, match=expected):
        up(harness, f"{repository}:none")
