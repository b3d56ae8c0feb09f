"""All the images of one configuration: built from the commit, or named and pinned."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from kaiun.image.site import chosen
from kaiun.image.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaiun.config.schema import Build, Config
    from kaiun.image.ensure import Built, Workshop
    from kaiun.image.revision import Revision
    from kaiun.image.site import Site

_AT_ONCE = 4


def app_source(config: Config) -> Source:
    """Return what the app's image is made from."""
    image = config.image
    return Source(
        config.app,
        image.repository,
        config.root,
        image.context,
        image.dockerfile,
        image.target or "",
        tuple(image.args.items()),
        cache=image.cache == "registry",
        layer=config.file,
        cpu=image.cpu or "",
        cpu_allow=tuple(image.cpu_allow.items()),
    )


def wanted(config: Config) -> dict[str, Source | str]:
    """Return, for each process and task, what its image is made from or the reference as written.

    A directory's image lives in the app's repository + "-" + the name of the process.
    """
    workloads = {**config.processes, **config.tasks}
    return {name: _wanted(config, name, load.image) for name, load in workloads.items()}


def ensure_all(config: Config, revision: Revision, workshop: Workshop) -> dict[str, Built]:
    """Return the image of each process and task; build, side by side, those that are missing.

    Raises the first ImageError, after the other builds were ended; Ctrl-C ends them all too.
    """

    def make(site: Site, source: Source) -> Built:
        return site.ensure(source, revision)

    return {name: built for name, built in _all(config, workshop, make).items() if built}


def find_all(config: Config, revision: Revision, workshop: Workshop) -> dict[str, Built | None]:
    """Return the image of each process and task, None where a deploy would have to build it."""
    return _all(config, workshop, lambda site, source: site.find(source, revision))


def _all(
    config: Config, workshop: Workshop, make: Callable[[Site, Source], Built | None]
) -> dict[str, Built | None]:
    by_name = wanted(config)
    images = dict.fromkeys(by_name.values())  # each once, in order
    site = chosen(workshop)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="image") as pool:
        futures: dict[Source | str, Future[Built | None]] = {
            image: pool.submit(make, site, image)
            if isinstance(image, Source)
            else pool.submit(site.pin, image, local=config.is_local)
            for image in images
        }
        _settle(futures.values(), workshop)
    return {name: futures[image].result() for name, image in by_name.items()}


def _settle(futures: Iterable[Future[Built | None]], workshop: Workshop) -> None:
    """Wait for all; end the others when one fails or this thread is interrupted."""
    pending = list(futures)
    try:
        done, _ = wait(pending, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        for future in pending:
            future.cancel()
        workshop.stop.request()
        raise


def _wanted(config: Config, name: str, image: Build | str | None) -> Source | str:
    if image is None:
        return app_source(config)
    if isinstance(image, str):
        return image
    return Source(
        config.app,
        f"{config.image.repository}-{name}",
        config.root,
        image.context,
        image.dockerfile,
        image.target or "",
        tuple(image.args.items()),
        by_tree=True,
        cpu=config.image.cpu or "",
        cache=config.image.cache == "registry",
        cpu_allow=tuple(config.image.cpu_allow.items()),
    )
