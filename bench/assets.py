"""The asset step of a build, with a real Rails application: Sprockets, 300 files, SCSS and JS.

What is measured is what a build waits for in assets/stock.py: find, or compile, copy out, push. The
image is built before the clock starts; the container and the old cache are cleared away, and the
cache is copied for the next compile, while a build goes on: here after the clock has stopped, with
a line of its own. Beside it, in the same run, Sprockets alone: `docker run` of the same image with
a warm cache mounted where it looks for it. Each comes first in every other round, and the ratio is
the median of those of each round: the machine may be slower in one than in the next.

python -m bench assets        (Docker, kaiun-rails:bookworm, docker-registry)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kaiun.assets import stock
from kaiun.config.loader import every
from kaiun.image import Revision, Source, Workshop, checkout, client, layer, resolve
from kaiun.image.build import Recipe, build
from kaiun.image.events import silent
from kaiun.image.reference import parse
from kaiun.image.supply import from_git

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support import sprockets
from support.images import docker, registry_process
from support.repository import Repository

COUNT = 150  # stylesheets, and as many scripts
ROUNDS = 3
ROUNDS_OF_ONE = 6  # of the shortest step that has a peer
ROUNDS_OF_TWO = 5
RUNS = ("--rm", "--user=0:0", "--entrypoint=rake", "--env=RAILS_ENV=production")
TWO = "  demo: {assets: {env: {DEMO: 1}}}\n"


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with _kitchen() as kitchen:
        full, unchanged = kitchen.unchanged()
        changed = kitchen.one_changed()
        two, ratio = kitchen.environments()
    cores = len(os.sched_getaffinity(0))
    return [
        ("assets: full compile of 300 files", f"{full:.2f} s", "—"),
        ("assets: nothing changed", f"{unchanged:.2f} s ({unchanged / full:.0%})", "≤ 0.3 s"),
        ("assets: one file changed, Sprockets alone, warm", f"{changed.alone:.2f} s", "—"),
        (
            "assets: one file changed",
            f"{changed.ours:.2f} s ({changed.ratio:.2f} ×)",
            "≤ 1.3 ×",
        ),
        ("assets: one file changed, cleared and copied beside", f"{changed.beside:.2f} s", "—"),
        (
            f"assets: two environments, {cores} cores",
            f"{two:.2f} s ({ratio:.2f} × one)",
            "≤ 1.3 ×",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Changed:
    """Medians where one file changed, in seconds: our step, what goes on beside, Sprockets."""

    ours: float
    beside: float
    alone: float
    ratio: float  # of ours to Sprockets alone


@dataclass(slots=True)
class Kitchen:
    """One application, its registry, its images."""

    repository: Repository
    source: Source
    workshop: Workshop
    warm: str  # the volume that Sprockets alone keeps its cache in
    image: str = ""

    def order(self, *no_cache: str) -> stock.Order:
        """Build the image of HEAD; return what the asset step is asked for."""
        revision: Revision = resolve(self.repository.path)
        docker_client, supply = client.find(), from_git(self.source, revision)
        configs = every(self.repository.path / "kaiun.yml")
        stop = self.workshop.stop
        with checkout.filled(self.workshop.home, self.image, supply.parcel, stop) as folder:
            labels = {"kaiun.app": self.source.app}
            recipe = Recipe(self.image, folder, "Dockerfile", labels)
            build(docker_client, recipe, progress=silent, stop=stop)
        base = layer.look(
            self.image, layer.Layering(docker_client, silent, stop, configs, revision.sha)
        )
        return stock.Order(
            client=docker_client,
            image=base.name,
            facts=base.facts,
            tools=base.found.tools,
            configs=configs,
            supply=supply,
            revision=revision.sha,
            target=replace(parse(self.source.repository), tag=revision.sha),
            registry=self.workshop.connected(),
            workshop=replace(self.workshop, no_cache=frozenset(no_cache)),
            tell=silent,
            cleaning=ThreadPoolExecutor(1),
        )

    def unchanged(self) -> tuple[float, float]:
        """Return the seconds of a full compile, and those where only Ruby changed."""
        full = _timed(self.order())
        seconds = []
        for number in range(ROUNDS):
            self.repository.commit({"app/models/order.rb": f"class Order; end # {number}\n"})
            seconds.append(_timed(self.order()))
        return full, statistics.median(seconds)

    def one_changed(self) -> Changed:
        """Measure our step and Sprockets alone, alternately."""
        self._alone()  # fills its cache
        rounds = [self._one_changed(number) for number in range(ROUNDS_OF_ONE)]
        ours, beside, alone = (statistics.median(each) for each in zip(*rounds, strict=True))
        ratio = statistics.median(each[0] / each[2] for each in rounds)
        return Changed(ours, beside, alone, ratio)

    def _one_changed(self, number: int) -> tuple[float, float, float]:
        """Return the seconds of our step, of what goes on beside, of Sprockets alone."""
        text = sprockets.stylesheet(number, f"#00{number}")
        # Of another second than the last: Sprockets alone would take the file for unchanged.
        at = f"2026-02-02T03:04:{number:02}+09:00"
        self.repository.commit({f"app/assets/stylesheets/part{number}.scss": text}, at=at)
        order = self.order()
        alone = self._alone() if number % 2 else 0.0
        began = time.perf_counter()
        ours = _timed(order)
        beside = time.perf_counter() - began - ours
        return ours, beside, alone or self._alone()

    def environments(self) -> tuple[float, float]:
        """Return the seconds of a full compile for two environments, as such and times one."""
        rounds = []
        for number in range(ROUNDS_OF_TWO):
            order = ("", TWO) if number % 2 else (TWO, "")
            seconds = {more: self._compiled(more) for more in order}
            rounds.append((seconds[TWO], seconds[TWO] / seconds[""]))
        two, ratio = (statistics.median(each) for each in zip(*rounds, strict=True))
        return two, ratio

    def _compiled(self, more: str) -> float:
        """Return the seconds of a full compile where kaiun.yml has `more` environments."""
        files = sprockets.application(self.source.app, self.source.repository, 0, more)
        self.repository.commit({"kaiun.yml": files["kaiun.yml"]})
        return _timed(self.order("assets"))

    def _alone(self) -> float:
        began = time.perf_counter()
        cache = f"--volume={self.warm}:/app/tmp/cache/assets"
        key = "--env=SECRET_KEY_BASE=0"
        docker("run", *RUNS, key, cache, self.image, "assets:precompile")
        return time.perf_counter() - began


@contextmanager
def _kitchen() -> Iterator[Kitchen]:
    app = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="kaiun-bench-") as folder:
        root = Path(folder)
        (root / "registry").mkdir()
        with registry_process(root / "registry") as host:
            repository = Repository(root / "repository")
            name = f"{host}/{app}"
            repository.commit(sprockets.application(app, name, COUNT))
            source = Source(app, name, repository.path, layer="kaiun.yml")
            kitchen = Kitchen(repository, source, Workshop(home=root / "home"), f"{app}-warm")
            kitchen.image = f"{app}:plain"
            try:
                yield kitchen
            finally:
                _clean(app, kitchen.warm)


def _clean(app: str, warm: str) -> None:
    made = docker("volume", "ls", "--quiet", f"--filter=label=kaiun.app={app}").split()
    docker("volume", "rm", "--force", warm, *made)
    images = docker("image", "ls", "--quiet", f"--filter=label=kaiun.app={app}").split()
    subprocess.run(
        ["docker", "image", "rm", "--force", *set(images)], capture_output=True, check=False
    )


def _timed(order: stock.Order) -> float:
    """Return how long a build waits for the step; what is cleared away meanwhile ends here."""
    began = time.perf_counter()
    stock.fill(order)
    seconds = time.perf_counter() - began
    order.cleaning.shutdown()
    return seconds
