"""A build host in the place of this machine: the same questions, answered over SSH."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kaiun.errors import KaiunError
from kaiun.image import context
from kaiun.image.credentials import docker_config
from kaiun.image.ensure import Built
from kaiun.image.host import ssh
from kaiun.image.host.connection import Connection
from kaiun.image.messages import Json, made, to_event
from kaiun.image.supply import FromGit, from_git, listed, text_of

if TYPE_CHECKING:
    from kaiun.image.credentials import Credentials
    from kaiun.image.ensure import Workshop
    from kaiun.image.host.pushes import Pushing
    from kaiun.image.revision import Revision
    from kaiun.image.source import Source


class BuildHost:
    """Finds, builds and pins images there, over one connection."""

    def __init__(self, url: str, workshop: Workshop) -> None:
        self._workshop = workshop
        self._connection = Connection(ssh.parse(url), workshop.stop)

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

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _call(self, do: str, request: Json, supply: FromGit | None) -> Any:
        answers = Answers(self._workshop, supply)
        return self._connection.call(do, request, answers)


@dataclass(frozen=True, slots=True)
class Answers:
    """Hears what a job on the host tells, and gives it what it asks for."""

    workshop: Workshop
    supply: FromGit | None

    def __call__(self, message: Json, connection: Connection) -> None:
        job = {"job": message["job"]}
        if "event" in message:
            self.workshop.progress(to_event(message["event"]))
            return
        try:
            match message.get("need"):
                case "credentials":
                    found = self._login(message["registry"], known=message["known"])
                    connection.send(job | {"credentials": asdict(found) if found else None})
                case "facts" if self.supply:
                    connection.send(job | _facts(self.supply))
                case "entries" if self.supply:
                    connection.send(job, listed(self.supply.wanted, self.supply.place))
                case "archive" if self.supply:
                    for data in deflated(context.archived(self.supply.place, self.workshop.stop)):
                        connection.send(job, data)
                    connection.send(job | {"end": True})
        except KaiunError as problem:
            connection.send(job | {"refused": str(problem)})
            raise

    def _login(self, registry: str, *, known: bool) -> Credentials | None:
        """Return who logs in at a registry; `known`: the host has a login of its own."""
        found = self.workshop.injected(registry)
        return found if found or known else docker_config()(registry)


def deflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the data compressed, lightly: about as fast as a network of a gigabit."""
    deflate = zlib.compressobj(1)
    for data in chunks:
        if packed := deflate.compress(data):
            yield packed
    yield deflate.flush()


def _request(wanted: Source, revision: Revision, supply: FromGit) -> Json:
    source = asdict(wanted)
    del source["root"]
    given = asdict(revision)
    del given["dirty"]
    return {"source": source, "revision": given, "tag": supply.tag}


def _facts(supply: FromGit) -> Json:
    """Return what a build has to know of the commit beside its files."""
    wanted, place = supply.wanted, supply.place
    text, note = text_of(wanted, place) if wanted.layer else ("", "")
    if text is None:
        text = (wanted.root / wanted.layer).read_text("utf-8")
    return {
        "dockerfile": supply.dockerfile(),
        "warnings": list(supply.warnings()),
        "config": text,
        "note": note,
    }
