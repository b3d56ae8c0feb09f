"""Build an image and push it: the order of what happens where the Docker Engine is.

One build of an image at a time; who comes second follows the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kaiun.cpu import levels, shim
from kaiun.errors import ImageError
from kaiun.image import baseline, caches, layer, leftovers, lock, probe, record, registrycache
from kaiun.image import client as clients
from kaiun.image.adaptation import Adapting, adapted
from kaiun.image.build import Recipe, build
from kaiun.image.events import BuildEvent
from kaiun.image.layerassets import NO_ASSETS, Assets
from kaiun.image.push import logged_in, push

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.config.schema import Config
    from kaiun.image.client import Client
    from kaiun.image.ensure import Job
    from kaiun.image.layer import Base
    from kaiun.image.reference import Reference
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source


def make(job: Job) -> tuple[str, bool]:
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
        if digest := job.existing():
            return digest, False
        if follower.failure and not job.workshop.no_cache:
            raise follower.failure  # of the build that we watched: the same commit fails again
        leftovers.sweep(client, home)
        with record.kept(home, job.name, job.workshop.progress) as progress:
            workshop = replace(job.workshop, progress=progress)
            return _publish(client, dockerfile, replace(job, workshop=workshop)), True


def _publish(client: Client, dockerfile: str, job: Job) -> str:
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


def _push(client: Client, job: Job, target: Reference) -> str:
    return push(
        client,
        target,
        job.registry,
        credentials=None,
        progress=job.tell,
        stop=job.workshop.stop,
    )


def _export(client: Client, kept: registrycache.Kept, recipe: Recipe, job: Job) -> None:
    try:
        kept.export(client, recipe, lambda target: _push(client, job, target), job.workshop.stop)
    except ImageError as problem:
        line = f"the cache was not pushed, an empty host builds without it: {problem.message}"
        job.tell(BuildEvent("note", "output", line=line))


def _build(client: Client, recipe: Recipe, job: Job) -> None:
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


def _adapting(client: Client, job: Job) -> Adapting:
    workshop, wanted = job.workshop, job.wanted
    target = shim.target(levels.parse(wanted.cpu)) if wanted.cpu else ""
    home, no_cache = workshop.home, workshop.no_cache
    return Adapting(home, wanted.app, job.image, target, no_cache, client, job.tell, workshop.stop)


@contextmanager
def _assets(client: Client, base: Base, configs: dict[str, Config], job: Job) -> Iterator[Assets]:
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


def _recipe(job: Job, directory: Path, dockerfile: str) -> Recipe:
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
