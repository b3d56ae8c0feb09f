"""What a job on the host is given when it asks: facts and files of the commit, logins."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kaiun.errors import KaiunError
from kaiun.image.credentials import docker_config
from kaiun.image.messages import Json, to_event
from kaiun.image.supply import FromGit, listed, text_of

if TYPE_CHECKING:
    from kaiun.image.credentials import Credentials
    from kaiun.image.ensure import Workshop
    from kaiun.image.host.connection import Connection


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
                case "parcel" if self.supply:
                    parcel = self.supply.parcel(message["there"], self.workshop.stop)
                    told = {"content": parcel.content, "removed": parcel.removed}
                    connection.send(job | told | {"tar": parcel.tar is not None})
                    if parcel.tar is not None:
                        for data in deflated(parcel.tar):
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
