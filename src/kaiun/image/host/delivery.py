"""What a build is made from, on the host: it comes from the developer's side, when asked for."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import git
from kaiun.image.context import EXTRACT
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

    @contextmanager
    def unpacked(self, stop: Stop) -> Iterator[Path]:
        with TemporaryDirectory(prefix="kaiun-context-", ignore_cleanup_errors=True) as name:
            context = Path(name) / "context"
            context.mkdir()
            context.chmod(0o755)
            self.job.want("archive")
            extract(self.job.chunks(), context, stop)
            yield context

    def _asked(self) -> Json:
        self._facts = self._facts or self.job.ask("facts")
        return self._facts


def extract(compressed: Iterator[bytes], into: Path, stop: Stop) -> None:
    """Unpack a deflated tar archive as it arrives. Raises ImageError, Interrupted."""
    inflate = zlib.decompressobj()
    with subprocess.Popen(
        [*EXTRACT, str(into)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tar:
        assert tar.stdin  # noqa: S101  (asked for above)
        try:
            with stop.calling(tar.kill):
                for data in compressed:
                    tar.stdin.write(inflate.decompress(data))
                _, said = tar.communicate(inflate.flush())
        except BrokenPipeError:
            _, said = tar.communicate()
        except BaseException:
            tar.kill()
            raise
    stop.check()
    if tar.returncode:
        raise ImageError(
            "the build context could not be unpacked on the build host",
            where=str(into),
            hint="is there enough space?",
            detail=git.text(said).splitlines()[-5:],
        )
