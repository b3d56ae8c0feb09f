"""Make sure that the registry has the image of a commit: look, else build and push."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.image import reference
from kaiun.image.credentials import anonymous, docker_config, first_of
from kaiun.image.events import BuildEvent, silent
from kaiun.image.registry import Registry
from kaiun.image.stop import Stop
from kaiun.image.supply import from_git
from kaiun.image.transport import Transport
from kaiun.local.home import state_home

if TYPE_CHECKING:
    from kaiun.image.credentials import CredentialSource
    from kaiun.image.events import Progress
    from kaiun.image.host.line import Line
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
class Job:
    """One image that is wanted."""

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

    def existing(self) -> str | None:
        """Return the digest that the registry has; None also where it is built in any case."""
        return None if self.workshop.no_cache else self.registry.digest(self.target)

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
    if digest := job.existing():
        return job.result(digest, started, built=False)
    from kaiun.image.making import make  # what most calls need not load

    digest, built = make(job)
    return job.result(digest, started, built=built)


def _job(wanted: Source, revision: Revision, supply: Supply, workshop: Workshop) -> Job:
    target = replace(reference.parse(wanted.repository), tag=supply.tag)
    return Job(wanted, revision, supply, target, workshop.connected(), workshop)
