"""What a build is made from, on the host: it comes from the developer's side, when asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.image.context import Parcel
from kaiun.image.events import BuildEvent
from kaiun.image.messages import Json
from kaiun.image.supply import Entry, entries_of

if TYPE_CHECKING:
    from kaiun.config.schema import Config
    from kaiun.image.host.job import Job
    from kaiun.image.stop import Stop


@dataclass(slots=True)
class Delivered:
    """A Supply. `layer` is the name of kaiun.yml, "" where the image gets no layer."""

    job: Job
    tag: str
    layer: str
    _facts: Json = field(default_factory=dict)

    def dockerfile(self) -> str:
        return str(self._asked()["dockerfile"])

    def warnings(self) -> tuple[str, ...]:
        return tuple(self._asked()["warnings"])

    def configs(self, tell: Callable[[BuildEvent], None]) -> dict[str, Config]:
        from kaiun.config.loader import every

        if note := self._asked()["note"]:
            tell(BuildEvent("note", "output", line=note))
        return every(Path(self.layer), self._asked()["config"])

    def entries(self) -> tuple[Entry, ...]:
        self.job.want("entries")
        return entries_of(self.job.next()[1])

    def parcel(self, there: str, stop: Stop) -> Parcel:
        del stop  # the job's own, by which it waits
        told = self.job.ask("parcel", there=there)
        tar = inflated(self.job.chunks()) if told["tar"] else None
        removed = None if told["removed"] is None else tuple(told["removed"])
        return Parcel(told["content"], removed, tar)

    def _asked(self) -> Json:
        self._facts = self._facts or self.job.ask("facts")
        return self._facts


def inflated(compressed: Iterator[bytes]) -> Iterator[bytes]:
    """Yield deflated data as it was."""
    inflate = zlib.decompressobj()
    for data in compressed:
        yield inflate.decompress(data)
    yield inflate.flush()
