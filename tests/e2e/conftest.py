"""The e2e suite's machine: one local ECS with the shop deployed, for all its tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from e2e.world import REPOSITORY, World


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose local ECS runs the shop's first commit, deployed by `kaiun deploy`."""
    subprocess.run([REPOSITORY / "scripts/base-image"], check=True, stdin=subprocess.DEVNULL)
    world = World(tmp_path_factory.mktemp("world"))
    world.prepare()
    try:
        world.up()
        world.kaiun("deploy", timeout=900)
        yield world
    finally:
        world.down()
