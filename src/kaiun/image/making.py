"""Build an image and push it: the order of what happens where the Docker Engine is.

One build of an image at a time; who comes second follows the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaiun.cpu import levels, shim
from kaiun.errors import ImageError
from kaiun.image import (
    again,
    caches,
    checkout,
    layer,
    leftovers,
    lock,
    probe,
    record,
    registrycache,
)
from kaiun.image import client as clients
from kaiun.image.adaptation import Adapting, adapted
from kaiun.image.build import Recipe, build
from kaiun.image.events import BuildEvent
from kaiun.image.layer import Base
from kaiun.image.layerassets import NO_ASSETS, Assets
from kaiun.image.push import logged_in, push

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kaiun.assets.stock import Order, Stock
    from kaiun.config.schema import Config
    from kaiun.image.baseline import Judging
    from kaiun.image.client import Client
    from kaiun.image.ensure import Job
    from kaiun.image.probe import Found
    from kaiun.image.reference import Reference
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source
    from kaiun.image.startfile import ImageFacts


def make(job: Job) -> tuple[str, bool]:
    """Build under the lock; return the digest, and False if another build was faster."""
    dockerfile = job.supply.dockerfile()
    client = clients.find()
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
        with record.kept(home, job.name, job.workshop.progress) as progress:
            workshop = replace(job.workshop, progress=progress)
            try:
                return _publish(client, dockerfile, replace(job, workshop=workshop)), True
            except ImageError:
                clients.require_engine(client)  # else that is what is wrong
                raise


def _publish(client: Client, dockerfile: str, job: Job) -> str:
    """Build and push; return the digest."""
    stop = job.workshop.stop
    credentials = job.workshop.injected(job.target.registry)
    with (
        _beside(client, job) as beside,
        checkout.filled(job.workshop.home, job.target.name, job.supply.parcel, stop) as directory,
        logged_in(client, job.target, credentials) as ours,
        adapted(_recipe(job, directory, dockerfile), _adapting(ours, job)) as recipe,
    ):
        if not job.wanted.cache:
            _build(ours, recipe, beside, job)
            return _push(ours, job, job.target)
        kept = registrycache.of(recipe, job.target)
        _build(ours, kept.importing(recipe), beside, job)
        digest = _push(ours, job, job.target)
        _export(ours, kept, kept.importing(recipe), job)
        return digest


@dataclass(frozen=True, slots=True)
class Beside:
    """What is done while an image is built, which need not wait for it."""

    pool: ThreadPoolExecutor
    carried: Future[again.Carried | None]


@contextmanager
def _beside(client: Client, job: Job) -> Iterator[Beside]:
    """Load the layer of the last build, look for what a user would miss, clear up."""
    place = job.workshop.home, job.target.name, job.name, job.revision.sha
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as pool:
        carried = pool.submit(again.carry, client, *place)
        warnings = pool.submit(job.supply.warnings)
        pool.submit(_prepare_end, client, carried, job)
        try:
            yield Beside(pool, carried)
        finally:
            for warning in warnings.result():
                job.tell(BuildEvent("note", "output", line=warning))


def _prepare_end(client: Client, carried: Future[again.Carried | None], job: Job) -> None:
    """Do what would only hold up the beginning of the build."""
    carried.result()
    import_module("kaiun.image.baseline")  # takes as long as a small step
    leftovers.sweep(client, job.workshop.home)


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


def _build(client: Client, recipe: Recipe, beside: Beside, job: Job) -> None:
    """Build the image of the user's Dockerfile; for the app's image, add kaiun's layer."""
    stop = job.workshop.stop
    if not job.wanted.layer:
        build(client, recipe, progress=job.tell, stop=stop)
        _judge(client, recipe, job)
        return
    configs = job.supply.configs(job.tell)
    layering = layer.Layering(client, job.tell, stop, configs, job.revision.sha)
    place = job.workshop.home, job.target.name
    last = again.Again(*place, recipe, layering, beside.carried, beside.pool.submit)
    made = last.attempt(lambda facts, found: _stocked(client, facts, found, configs, job))
    if made:
        _judge(client, made.recipe, job, made.said)
    else:
        _layered(client, last, job)


def _layered(client: Client, last: again.Again, job: Job) -> None:
    """Go the whole way: build the plain image, look into it, build the layer on top of it."""
    from kaiun.image import baseline

    recipe, layering = last.recipe, last.layering
    plain = leftovers.plain_name(job.workshop.home, job.name)
    try:
        build(client, replace(recipe, name=plain), progress=job.tell, stop=layering.stop)
        labelled = baseline.labelled(plain, recipe, _judging(client, job))
        base = layer.look(plain, layering)
        with _assets(client, base, layering.configs, job) as assets:
            python = layer.add(base, labelled, layering, assets)
        _judge(client, labelled, job)
        if python is not None:
            labels = {**labelled.labels, **assets.labels}
            own = {name: each for name, each in labels.items() if name not in recipe.labels}
            last.learn(base, own, python, assets)
    finally:
        probe.untag(client, plain)


def _judge(client: Client, recipe: Recipe, job: Job, said: Mapping[str, Any] | None = None) -> None:
    from kaiun.image import baseline

    baseline.judge(recipe, _judging(client, job), said)


def _judging(client: Client, job: Job) -> Judging:
    from kaiun.image.baseline import Judging

    return Judging(client, job.workshop.home, job.wanted, job.tell, job.workshop.stop)


def _adapting(client: Client, job: Job) -> Adapting:
    workshop, wanted = job.workshop, job.wanted
    target = shim.target(levels.parse(wanted.cpu)) if wanted.cpu else ""
    home, no_cache = workshop.home, workshop.no_cache
    return Adapting(home, wanted.app, job.image, target, no_cache, client, job.tell, workshop.stop)


@contextmanager
def _assets(
    client: Client, base: Base, configs: Mapping[str, Config], job: Job
) -> Iterator[Assets]:
    """Find or compile the assets of all environments; plan where they go.

    What compiling left in the Docker Engine is cleared away meanwhile, and gone after the block.
    """
    if not _have_assets(configs):
        yield NO_ASSETS
        return
    from kaiun.assets import stock  # which imports this package

    with _order(client, base, configs, job) as order:
        yield _planned(stock.fill(order), order)


def _stocked(
    client: Client, facts: ImageFacts, found: Found, configs: Mapping[str, Config], job: Job
) -> Assets | None:
    """Find the assets of all environments, as `_assets` does; None where one must be compiled."""
    if not _have_assets(configs):
        return NO_ASSETS
    from kaiun.assets import stock

    with _order(client, Base("", facts, found), configs, job) as order:
        stocked = stock.find(order)
        return None if stocked is None else _planned(stocked, order)


def _planned(stocked: Stock, order: Order) -> Assets:
    from kaiun.assets import bake

    return Assets(stocked, bake.plan(order.configs, stocked, order.facts.workdir))


def _have_assets(configs: Mapping[str, Config]) -> bool:
    return any(config.assets for config in configs.values())


@contextmanager
def _order(client: Client, base: Base, configs: Mapping[str, Config], job: Job) -> Iterator[Order]:
    from kaiun.assets.stock import Order

    with ThreadPoolExecutor(1, thread_name_prefix="cleaning") as cleaning:
        yield Order(
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
