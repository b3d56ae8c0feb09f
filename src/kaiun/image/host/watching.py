"""Follow a build that somebody else runs on the host, or will soon, to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import lock, record, reference
from kaiun.image.ensure import Built, find_supplied

if TYPE_CHECKING:
    from kaiun.image.ensure import Workshop
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source
    from kaiun.image.supply import Supply

_LOOK_S = 0.1
_ASK_S = 1.0  # between two questions to the registry while nobody builds
_OLD_S = 3.0  # a failure found at first is told only when no new build begins in that time


def watch(
    wanted: Source, revision: Revision, supply: Supply, workshop: Workshop, *, begin_s: float
) -> Built:
    """Return the image once the registry has it; tell the progress of its build until then.

    Raises the failure of that build; ImageError when nobody has begun one after `begin_s`.
    """
    name = f"{wanted.repository}:{supply.tag}"
    began = time.monotonic()
    with record.Follower(workshop.home, name, workshop.progress) as follower:
        while True:
            if _follow(name, follower, workshop):
                began = time.monotonic() - begin_s + _OLD_S  # it ended: what came of it?
            if found := find_supplied(wanted, revision, supply, workshop):
                return found
            waited_s = time.monotonic() - began
            old = record.failure_in(record.path_of(workshop.home, name))
            if failure := follower.failure or (old if waited_s > _OLD_S else None):
                raise failure
            if waited_s > begin_s:
                raise _nobody(name)
            asked = time.monotonic()
            while time.monotonic() - asked < _ASK_S and not _runs(name, workshop):
                workshop.stop.pause(_LOOK_S)


def _follow(name: str, follower: record.Follower, workshop: Workshop) -> bool:
    """Tell a running build's progress until it ends; return whether there was one."""
    if not _runs(name, workshop):
        return False
    while _runs(name, workshop):
        follower.look()
        workshop.stop.pause(_LOOK_S)
    follower.read()
    return True


def _runs(name: str, workshop: Workshop) -> bool:
    """Return whether a build runs. Its lock is looked at only once it has a record."""
    home = workshop.home
    there = record.path_of(home, name).exists()
    return there and lock.is_held(lock.path_of(home, name))


def _nobody(name: str) -> ImageError:
    parsed = reference.parse(name)
    return ImageError(
        f"nobody builds {parsed.path} at {parsed.tag[:12]}, and the registry does not have it",
        hint="git push build COMMIT:BRANCH, or: kaiun build",
    )
