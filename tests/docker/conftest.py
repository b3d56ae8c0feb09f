"""Every test here needs a Docker Engine, and leaves nothing behind in it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.containers import Harness, clean, make_image
from support.engine import Engine
from support.images import DOCKERFILE, Bench, docker, registry_process, system
from support.real_tasks import CLUSTER
from support.repository import Repository

from kaiun.image import BuildEvent, Source, Workshop

Body = Callable[[], Awaitable[None]]


@pytest.fixture(scope="session")
def image() -> str:
    if shutil.which("docker") is None:
        pytest.skip("no Docker client")
    return make_image()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_process(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def bench(tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    app = f"t-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-settings"))
    repository = Repository(tmp_path / "repository")
    repository.commit({**system(), "Dockerfile": DOCKERFILE, "unique": app})
    events: list[BuildEvent] = []
    source = Source(app, f"{registry}/{app}", repository.path)
    yield Bench(repository, source, Workshop(events.append, home=tmp_path / "home"), events)
    images = docker("image", "ls", "--all", "--quiet", f"--filter=label=kaiun.app={app}").split()
    if images:
        docker("image", "rm", "--force", *sorted(set(images)))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Engine]:
    """A whole engine on Docker, with the cluster that real_tasks runs in."""
    engine = Engine(tmp_path_factory.mktemp("real"), runtime="docker")
    engine.client("ecs").create_cluster(clusterName=CLUSTER)
    yield engine
    engine.empty_out()


@pytest.fixture
def machine(tmp_path: Path, image: str) -> Iterator[Engine]:
    """A local ECS with real containers, of one test alone."""
    del image  # there is a Docker Engine
    engine = Engine(tmp_path, runtime="docker")
    yield engine
    engine.empty_out()


@pytest.fixture
def harness(tmp_path: Path, image: str) -> Iterator[Harness]:
    engine_id = uuid.uuid4().hex
    yield Harness(engine_id, tmp_path, image)
    clean(engine_id)


@pytest.fixture
def run(harness: Harness) -> Callable[[Body], None]:
    """Run a test's coroutine with the runtime open, and let go of it afterwards."""

    def runner(body: Body) -> None:
        async def whole() -> None:
            await harness.open()
            try:
                await body()
            finally:
                await harness.runtime.close()

        asyncio.run(whole())

    return runner
