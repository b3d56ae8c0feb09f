"""Following a build that somebody else runs: to its image, its failure, or for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.fake_registry import FakeRegistry
from support.repository import Repository

from kaiun.errors import ImageError
from kaiun.image import BuildEvent, Built, Revision, Source, Workshop, lock, record, resolve
from kaiun.image.host.watching import watch
from kaiun.image.stop import Stop
from kaiun.image.supply import from_git

DIGEST = "sha256:" + "a" * 64
STEP = BuildEvent("build", "started", "RUN make", step=1, total=2, image="shop")


@dataclass
class Scene:
    """One image, who watches it, and everything that was told."""

    source: Source
    revision: Revision
    workshop: Workshop
    seen: list[BuildEvent]
    heard: threading.Event

    @property
    def name(self) -> str:
        return f"{self.source.repository}:{self.revision.sha}"

    def watch(self, begin_s: float = 0.0) -> Built:
        supply = from_git(self.source, self.revision)
        return watch(self.source, self.revision, supply, self.workshop, begin_s=begin_s)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Build, as far as others can tell; the block begins when the watcher has heard of it."""
        home = self.workshop.home
        with (
            lock.held(home, self.name, Stop(), lambda: None),
            record.kept(home, self.name, lambda _: None) as tell,
        ):
            tell(STEP)
            assert self.heard.wait(20)
            yield


@pytest.fixture
def scene(tmp_path: Path, repository: Repository, fake: FakeRegistry) -> Scene:
    repository.commit({"Dockerfile": "FROM scratch\n"})
    seen, heard = list[BuildEvent](), threading.Event()

    def hear(event: BuildEvent) -> None:
        seen.append(event)
        if event == STEP:
            heard.set()

    source = Source("shop", f"{fake.host}/shop", repository.path)
    revision = resolve(repository.path)
    return Scene(source, revision, Workshop(hear, home=tmp_path / "home"), seen, heard)


def test_an_image_that_is_there_is_the_result(scene: Scene, fake: FakeRegistry) -> None:
    fake.manifests["shop", scene.revision.sha] = DIGEST
    assert scene.watch().reference == f"{scene.source.repository}@{DIGEST}"
    assert scene.seen == []


def test_nobody_who_builds_is_said_after_a_while(scene: Scene) -> None:
    with pytest.raises(ImageError, match="nobody builds shop at") as caught:
        scene.watch()
    assert "git push build" in caught.value.hint


def test_a_running_build_is_followed_to_its_image(scene: Scene, fake: FakeRegistry) -> None:
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(scene.watch, 20.0)
        with scene.building():
            fake.manifests["shop", scene.revision.sha] = DIGEST
        assert watching.result(20).digest == DIGEST
    assert scene.seen == [record.WAITING, STEP]


def test_a_running_build_that_fails_fails_who_watches(scene: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(scene.watch, 20.0)
        with pytest.raises(ImageError), scene.building():
            raise ImageError("the build failed at RUN make")
        with pytest.raises(ImageError, match="failed at RUN make"):
            watching.result(20)
