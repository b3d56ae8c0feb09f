"""Where images are built, and from where registries are asked: here, or on a build host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kaiun.image.ensure import ensure, find
from kaiun.image.pin import pin

if TYPE_CHECKING:
    from kaiun.image.ensure import Built, Workshop
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source


class Site(Protocol):
    """Each question may be asked from several threads. All raise ImageError, Interrupted."""

    def ensure(self, wanted: Source, revision: Revision) -> Built:
        """Return the image; build and push it unless the registry has it."""

    def find(self, wanted: Source, revision: Revision) -> Built | None:
        """Return the image if the registry has it."""

    def pin(self, text: str, *, local: bool) -> Built:
        """Return the reference with the digest that its tag means today."""


@dataclass(frozen=True, slots=True)
class Here:
    """This machine: its Docker Engine, its network."""

    workshop: Workshop

    def ensure(self, wanted: Source, revision: Revision) -> Built:
        return ensure(wanted, revision, self.workshop)

    def find(self, wanted: Source, revision: Revision) -> Built | None:
        return find(wanted, revision, self.workshop)

    def pin(self, text: str, *, local: bool) -> Built:
        return pin(text, self.workshop, local=local)


def chosen(workshop: Workshop) -> Site:
    """Return the build host that the workshop has a line to; without one, Here."""
    if workshop.line is None:
        return Here(workshop)
    from kaiun.image.host.site import BuildHost

    return BuildHost(workshop.line, workshop)
