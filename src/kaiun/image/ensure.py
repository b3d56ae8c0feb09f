"""Make sure that the registry has the image of a commit: look, else build and push."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.cpu import levels, shim
from kaiun.errors import ImageError
from kaiun.image import (
    baseline,
    caches,
    layer,
    leftovers,
    lock,
    probe,
    record,
    reference,
    registrycache,
)
from kaiun.image import client as clients
from kaiun.image.adaptation import Adapting, adapted
from kaiun.image.build import Recipe, build
from kaiun.image.credentials import anonymous, docker_config, first_of
from kaiun.image.events import BuildEvent, silent
from kaiun.image.layerassets import NO_ASSETS, Assets
from kaiun.image.push import logged_in, push
from kaiun.image.registry import Registry
from kaiun.image.stop import Stop
from kaiun.image.supply import from_git
from kaiun.image.transport import Transport
from kaiun.local.home import state_home

if TYPE_CHECKING:
    from kaiun.config.schema import Config
    from kaiun.image.client import Client
    from kaiun.image.credentials import CredentialSource
    from kaiun.image.events import Progress
    from kaiun.image.host.line import Line
    from kaiun.image.layer import Base
    from kaiun.image.reference import Reference
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source
    from kaiun.image.supply import Supply


@dataclass(frozen=True, slots=True)
class Built:
    """An image that can be deployed."""

    repository: str
    digest: str  # "" only for an image that no registry knows
    reference: str  # repository@sha256:…, else the reference as written
    tag: str = ""
    built: bool = False  # by this call
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every build of one run shares: where it reports to, where it looks, how it is ended.

    `progress` is called from the threads that build, one at a time for each image. `no_cache` are
    the names of the caches to go without (caches.NAMES); with any of them an image is built even
    where the registry has it. `line` leads to the build host; without one, all is done here.
    """

    progress: Progress = silent
    injected: CredentialSource = anonymous  # asked before docker's own configuration
    home: Path = field(default_factory=state_home)
    stop: Stop = field(default_factory=Stop)
    registry: Registry | None = None
    no_cache: frozenset[str] = frozenset()
    line: Line | None = None

    def connected(self, *, patient: bool = True) -> Registry:
        """Return the registry client, made from the credentials where none was given.

        An impatient one does not try again: for what can be done without.
        """
        if self.registry:
            return self.registry
        if self.line:
            from kaiun.image.host.registry import HostRegistry

            return HostRegistry(self.line, self)
        send = (
            Transport(pause=self.stop.pause) if patient else Transport(pauses_s=(), connect_s=2.0)
        )
        return Registry(first_of(self.injected, docker_config()), send)


@dataclass(frozen=True, slots=True)
class _Job:
    wanted: Source
    revision: Revision
    supply: Supply
    target: Reference
    registry: Registry
    workshop: Workshop

    @property
    def name(self) -> str:
        return f"{self.target.name}:{self.target.tag}"

    @property
    def image(self) -> str:
        return self.target.path.rpartition("/")[2]

    def tell(self, event: BuildEvent) -> None:
        self.workshop.progress(replace(event, image=self.image))

    def result(self, digest: str, started: float, *, built: bool) -> Built:
        name, seconds = self.target.name, time.monotonic() - started
        return Built(name, digest, f"{name}@{digest}", self.target.tag, built, seconds)


def find(wanted: Source, revision: Revision, workshop: Workshop) -> Built | None:
    """Return the image if the registry has it; build nothing.

    Raises ImageError when the registry cannot be asked.
    """
    return find_supplied(wanted, revision, from_git(wanted, revision), workshop)


def find_supplied(
    wanted: Source, revision: Revision, supply: Supply, workshop: Workshop
) -> Built | None:
    """Return the image of what was supplied, as `find` does."""
    started = time.monotonic()
    job = _job(wanted, revision, supply, workshop)
    digest = job.registry.digest(job.target)
    return job.result(digest, started, built=False) if digest else None


def ensure(wanted: Source, revision: Revision, workshop: Workshop) -> Built:
    """Return the image of `wanted` at `revision`; build and push it unless the registry has it.

    Safe to call from several threads.
    Raises ImageError: nothing was published then; Interrupted after workshop.stop.request().
    """
    return ensure_supplied(wanted, revision, from_git(wanted, revision), workshop)


def ensure_supplied(
    wanted: Source, revision: Revision, supply: Supply, workshop: Workshop
) -> Built:
    """Return the image of what was supplied, as `ensure` does: wherever the Docker Engine is."""
    started = time.monotonic()
    job = _job(wanted, revision, supply, workshop)
    if digest := _existing(job):
        return job.result(digest, started, built=False)
    digest, built = _make(job)
    return job.result(digest, started, built=built)


def _job(wanted: Source, revision: Revision, supply: Supply, workshop: Workshop) -> _Job:
    target = replace(reference.parse(wanted.repository), tag=supply.tag)
    return _Job(wanted, revision, supply, target, workshop.connected(), workshop)


def _existing(job: _Job) -> str | None:
    """Return the digest that the registry has, None also where it is to be built in any case."""
    return None if job.workshop.no_cache else job.registry.digest(job.target)


def _make(job: _Job) -> tuple[str, bool]:
    """Build under the lock; return the digest, and False if another build was faster."""
    dockerfile = job.supply.dockerfile()
    client = clients.find()
    clients.require_engine(client)
    home, stop = job.workshop.home, job.workshop.stop
    with (
        record.Follower(home, job.name, job.tell) as follower,
        lock.held(home, job.name, stop, follower.look),
    ):
        follower.read()
        if digest := _existing(job):
            return digest, False
        if follower.failure and not job.workshop.no_cache:
            raise follower.failure  # of the build that we watched: the same commit fails again
        leftovers.sweep(client, home)
        with record.kept(home, job.name, job.workshop.progress) as progress:
            workshop = replace(job.workshop, progress=progress)
            return _publish(client, dockerfile, replace(job, workshop=workshop)), True


def _publish(client: Client, dockerfile: str, job: _Job) -> str:
    """Build and push; return the digest."""
    stop = job.workshop.stop
    for warning in job.supply.warnings():
        job.tell(BuildEvent("note", "output", line=warning))
    credentials = job.workshop.injected(job.target.registry)
    with (
        job.supply.unpacked(stop) as directory,
        logged_in(client, job.target, credentials) as ours,
        adapted(_recipe(job, directory, dockerfile), _adapting(ours, job)) as recipe,
    ):
        if not job.wanted.cache:
            _build(ours, recipe, job)
            return _push(ours, job, job.target)
        kept = registrycache.of(recipe, job.target)
        _build(ours, kept.importing(recipe), job)
        digest = _push(ours, job, job.target)
        _export(ours, kept, kept.importing(recipe), job)
        return digest


def _push(client: Client, job: _Job, target: Reference) -> str:
    return push(
        client,
        target,
        job.registry,
        credentials=None,
        progress=job.tell,
        stop=job.workshop.stop,
    )


def _export(client: Client, kept: registrycache.Kept, recipe: Recipe, job: _Job) -> None:
    try:
        kept.export(client, recipe, lambda target: _push(client, job, target), job.workshop.stop)
    except ImageError as problem:
        line = f"the cache was not pushed, an empty host builds without it: {problem.message}"
        job.tell(BuildEvent("note", "output", line=line))


def _build(client: Client, recipe: Recipe, job: _Job) -> None:
    """Build the image of the user's Dockerfile; for the app's image, add kaiun's layer."""
    stop = job.workshop.stop
    judging = baseline.Judging(client, job.workshop.home, job.wanted, job.tell, stop)
    if not job.wanted.layer:
        build(client, recipe, progress=job.tell, stop=stop)
        baseline.judge(recipe, judging)
        return
    plain = leftovers.plain_name(job.workshop.home, job.name)
    configs = job.supply.configs(job.tell)
    layering = layer.Layering(client, job.tell, stop, configs, job.revision.sha)
    try:
        build(client, replace(recipe, name=plain), progress=job.tell, stop=stop)
        labelled = baseline.labelled(plain, recipe, judging)
        base = layer.look(plain, layering)
        with _assets(client, base, configs, job) as assets:
            layer.add(base, labelled, layering, assets)
        baseline.judge(labelled, judging)
    finally:
        probe.untag(client, plain)


def _adapting(client: Client, job: _Job) -> Adapting:
    workshop, wanted = job.workshop, job.wanted
    target = shim.target(levels.parse(wanted.cpu)) if wanted.cpu else ""
    home, no_cache = workshop.home, workshop.no_cache
    return Adapting(home, wanted.app, job.image, target, no_cache, client, job.tell, workshop.stop)


@contextmanager
def _assets(client: Client, base: Base, configs: dict[str, Config], job: _Job) -> Iterator[Assets]:
    """Find or compile the assets of all environments; plan where they go.

    What compiling left in the Docker Engine is cleared away meanwhile, and gone after the block.
    """
    if not any(config.assets for config in configs.values()):
        yield NO_ASSETS
        return
    from kaiun.assets import bake, stock  # which import this package

    with ThreadPoolExecutor(1, thread_name_prefix="cleaning") as cleaning:
        order = stock.Order(
            client=client,
            image=base.name,
            facts=base.facts,
            tools=base.found.tools,
            configs=configs,
            supply=job.supply,
            revision=job.revision.sha,
            target=job.target,
            registry=job.registry,
            workshop=job.workshop,
            tell=job.tell,
            cleaning=cleaning,
        )
        stocked = stock.fill(order)
        yield Assets(stocked, bake.plan(configs, stocked, base.facts.workdir))


def _recipe(job: _Job, directory: Path, dockerfile: str) -> Recipe:
    wanted = job.wanted
    no_cache = caches.LAYERS in job.workshop.no_cache
    labels = _labels(wanted, job.revision)
    return Recipe(job.name, directory, dockerfile, labels, wanted.target, wanted.args, no_cache)


def _labels(wanted: Source, revision: Revision) -> dict[str, str]:
    """Return the image's labels. `created` is the commit's date: the same commit, the same image.

    Source: OCI image specification, annotations.
    """
    labels = {
        "org.opencontainers.image.revision": revision.sha,
        "org.opencontainers.image.created": revision.date,
        "org.opencontainers.image.source": revision.source,
        "kaiun.app": wanted.app,
    }
    return {name: value for name, value in labels.items() if value}
