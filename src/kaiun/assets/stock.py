"""The assets of one build: found where the same was compiled before, else compiled.

Looks first in the registry, which all builds share: an unchanged result costs three small requests
and no container. What was compiled is in the registry before the image that names it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.assets import artifact, groups, inputs, report
from kaiun.assets.carried import Cache
from kaiun.assets.compile import Kitchen, Later, compile_assets
from kaiun.assets.store import Store
from kaiun.image import caches, lock
from kaiun.image.events import BuildEvent
from kaiun.image.stop import Stop

if TYPE_CHECKING:
    from kaiun.assets.groups import Group
    from kaiun.assets.manifest import AssetManifest
    from kaiun.config.schema import Config
    from kaiun.image.client import Client
    from kaiun.image.ensure import Workshop
    from kaiun.image.reference import Reference
    from kaiun.image.registry import Registry
    from kaiun.image.startfile import ImageFacts
    from kaiun.image.supply import Supply


@dataclass(frozen=True, slots=True)
class Order:
    """What a build wants assets for."""

    client: Client
    image: str  # of the user's Dockerfile
    facts: ImageFacts
    tools: str  # what probe.look saw of them
    configs: Mapping[str, Config]
    supply: Supply
    revision: str
    target: Reference  # of the image that is built
    registry: Registry
    workshop: Workshop
    tell: Callable[[BuildEvent], None]
    cleaning: ThreadPoolExecutor  # removes containers and volumes; ends after the build's own work

    @property
    def store(self) -> Store:
        return Store(self.workshop.home / "assets")

    def note(self, line: str) -> None:
        self.tell(BuildEvent("note", "output", line=line))


@dataclass(frozen=True, slots=True)
class Stock:
    """What a build has: the manifest of each digest, the digest of each environment."""

    digests: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, AssetManifest] = field(default_factory=dict)
    store: Store | None = None


def fill(order: Order) -> Stock:
    """Return the assets of all environments that want them.

    Raises AssetsError where they do not compile; ImageError where the registry does not take
    them; Interrupted when asked to stop.
    """
    wanted = groups.grouped(order.configs)
    if not wanted:
        return Stock()
    digests = _digests(order, wanted)
    return _stocked(order, wanted, digests, _all(order, wanted, digests))


def find(order: Order) -> Stock | None:
    """Return the assets as `fill` does, None where something would have to be compiled.

    Raises ImageError, Interrupted.
    """
    if caches.ASSETS in order.workshop.no_cache:
        return None
    wanted = groups.grouped(order.configs)
    digests = _digests(order, wanted) if wanted else []
    found = []
    for digest in digests:
        if (manifest := _existing(order, digest)) is None:
            return None
        found.append((manifest, False))
    return _stocked(order, wanted, digests, found)


def _stocked(
    order: Order,
    wanted: Sequence[Group],
    digests: Sequence[str],
    found: Sequence[tuple[AssetManifest, bool]],
) -> Stock:
    """Return what was found or compiled, and tell of it."""
    for line in report.lines(wanted, found):
        order.note(line)
    by_environment = {
        name: digest
        for group, digest in zip(wanted, digests, strict=True)
        for name in group.environments
    }
    stock = Stock(by_environment, {each.digest: each for each, _ in found}, order.store)
    _fetch_whole(order, stock)
    return stock


def _fetch_whole(order: Order, stock: Stock) -> None:
    """Have the files themselves here where they go into the image."""
    for name, digest in stock.digests.items():
        given = order.configs[name].assets
        if given and given.in_image:
            with artifact.files(order.registry, order.target, stock.manifests[digest], order.store):
                continue


def _digests(order: Order, wanted: Sequence[Group]) -> list[str]:
    variables = dict(each.partition("=")[::2] for each in order.facts.variables)
    tools = inputs.tools(order.tools, variables, order.facts.workdir, order.revision)
    entries = order.supply.entries()
    return [inputs.digest(group, entries, tools) for group in wanted]


def _all(
    order: Order, wanted: Sequence[Group], digests: Sequence[str]
) -> list[tuple[AssetManifest, bool]]:
    """Return the manifest of each group and whether it was compiled now, side by side.

    The first failure ends the others.
    """
    stop = Stop()
    at_once = min(len(wanted), len(os.sched_getaffinity(0)))
    with (
        order.workshop.stop.calling(stop.request),
        ThreadPoolExecutor(at_once, thread_name_prefix="assets") as pool,
    ):
        futures = [
            pool.submit(_one, order, group, digest, stop)
            for group, digest in zip(wanted, digests, strict=True)
        ]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            stop.request()
            raise
    return [future.result() for future in futures]


def _one(order: Order, group: Group, digest: str, stop: Stop) -> tuple[AssetManifest, bool]:
    """Find or compile under a lock: of two builds that want the same, one compiles."""
    home = order.workshop.home
    name = f"assets of {order.target.name} {digest}"
    waiting = BuildEvent("wait", "started", f"another build compiles the assets of {group.name}")
    with lock.held(home, name, stop, lambda: order.tell(waiting)):
        fresh = caches.ASSETS in order.workshop.no_cache
        if not fresh and (found := _existing(order, digest)):
            return found, False
        with _clearing(order) as later:
            kitchen = _kitchen(order, later, stop)
            manifest = compile_assets(kitchen, group, digest, _cache(order, group), fresh=fresh)
            artifact.push(order.registry, order.target, manifest, order.store)
        return manifest, True


@contextmanager
def _clearing(order: Order) -> Iterator[Later]:
    """Yield what takes work that nobody waits for; it is begun after the block.

    It is given the build's own stop: that of the compiles ends with them.
    """
    todo: list[Callable[[Stop], object]] = []
    try:
        yield todo.append
    finally:
        for each in todo:
            order.cleaning.submit(each, order.workshop.stop)


def _existing(order: Order, digest: str) -> AssetManifest | None:
    """Return what was compiled before, all of it verified: in the registry, else put there."""
    found = artifact.find(order.registry, order.target, digest, order.store)
    if found:
        order.store.keep(found)
        return found
    kept = order.store.manifest(digest)
    if kept and order.store.has(kept):
        artifact.push(order.registry, order.target, kept, order.store)
        return kept
    return None


def _cache(order: Order, group: Group) -> Cache:
    app = next(iter(order.configs.values())).app
    folders = tuple(f"{order.facts.workdir.rstrip('/')}/{each}" for each in group.settings.cache)
    return Cache(order.client, order.workshop.home, app, order.target.name, group.key, folders)


def _kitchen(order: Order, later: Later, stop: Stop) -> Kitchen:
    return Kitchen(
        client=order.client,
        image=order.image,
        workdir=order.facts.workdir,
        variables=order.facts.variables,
        store=order.store,
        home=order.workshop.home,
        build=f"{order.target.name}:{order.target.tag}",
        progress=order.tell,
        stop=stop,
        later=later,
    )
