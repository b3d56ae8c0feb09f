"""A build host in the place of this machine: the same questions, answered over SSH."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kaiun.image.ensure import Built
from kaiun.image.garbage import Item
from kaiun.image.host.answers import Answers
from kaiun.image.messages import Json, made
from kaiun.image.supply import FromGit, from_git

if TYPE_CHECKING:
    from kaiun.image.ensure import Workshop
    from kaiun.image.host.line import Line
    from kaiun.image.host.pushes import Pushing
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source


class BuildHost:
    """Finds, builds and pins images there."""

    def __init__(self, line: Line, workshop: Workshop) -> None:
        self._line = line
        self._workshop = workshop
        line.connection()  # while it is made, there is enough to do here

    def ensure(self, wanted: Source, revision: Revision) -> Built:
        """Return the image, built on the host and pushed from there unless its registry has it."""
        supply = from_git(wanted, revision)
        no_cache = sorted(self._workshop.no_cache)
        request = _request(wanted, revision, supply) | {"no_cache": no_cache}
        return made(Built, self._call("ensure", request, supply))

    def find(self, wanted: Source, revision: Revision) -> Built | None:
        """Return the image if the registry, asked by the host, has it."""
        supply = from_git(wanted, revision)
        found = self._call("find", _request(wanted, revision, supply), supply)
        return made(Built, found) if found else None

    def pin(self, text: str, *, local: bool) -> Built:
        """Return the reference with its digest, as the host sees it."""
        return made(Built, self._call("pin", {"text": text, "local": local}, None))

    def watch(self, wanted: Source, revision: Revision, begin_s: float) -> Built:
        """Return the image that somebody else builds; tell how that goes."""
        supply = from_git(wanted, revision)
        request = _request(wanted, revision, supply) | {"begin_s": begin_s}
        return made(Built, self._call("watch", request, supply))

    def condition(self) -> str:
        """Return in one line what the host builds with. Raises ImageError where it could not."""
        return str(self._call("condition", {}, None))

    def repository(self, pushing: Pushing) -> str:
        """Make the repository of push-to-build there; return its path."""
        return str(self._call("repository", asdict(pushing), None))

    def garbage(self, app: str) -> list[Item]:
        """Return what the builds of an app left there, to be removed while the line is."""
        found: list[Json] = self._call("garbage", {"app": app}, None)
        return [Item(**each, remove=self._clearing(app, each)) for each in found]

    def _clearing(self, app: str, each: Json) -> Callable[[], None]:
        request = {"app": app, "kind": each["kind"], "name": each["name"]}

        def remove() -> None:
            self._call("clear", request, None)

        return remove

    def _call(self, do: str, request: Json, supply: FromGit | None) -> Any:
        answers = Answers(self._workshop, supply)
        return self._line.connection().call(do, request, answers, self._workshop.stop)


def _request(wanted: Source, revision: Revision, supply: FromGit) -> Json:
    source = asdict(wanted)
    del source["root"]
    given = asdict(revision)
    del given["dirty"]
    return {"source": source, "revision": given, "tag": supply.tag}
