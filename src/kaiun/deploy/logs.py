"""Read the logs of processes: all their tasks' streams, merged by time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kaiun.deploy.logplace import Place, containers, place
from kaiun.plan import names

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import LogEvent
    from kaiun.config import Config

POLL_S = 1.0
OVERLAP_MS = 5000  # lines of several streams may be filed out of order by that much


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a container's output."""

    timestamp_ms: int
    process: str
    task: str
    container: str
    message: str

    def facts(self) -> dict[str, object]:
        return asdict(self)


def lines(
    aws: Aws, config: Config, wanted: Sequence[str], start_ms: int, pattern: str = ""
) -> Iterator[Line]:
    """Yield the lines since `start_ms`, oldest first."""
    yield from _read(aws, _places(aws, config, wanted), start_ms, pattern)


def tail(
    aws: Aws,
    config: Config,
    wanted: Sequence[str],
    start_ms: int,
    pattern: str = "",
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Line]:
    """Yield the lines since `start_ms`, and go on for ever."""
    places = _places(aws, config, wanted)
    told: set[Line] = set()
    while True:
        found = _read(aws, places, start_ms, pattern)
        yield from (line for line in found if line not in told)
        newest = max((line.timestamp_ms for line in found), default=start_ms + OVERLAP_MS)
        start_ms = max(start_ms, newest - OVERLAP_MS)
        told = {line for line in found if line.timestamp_ms >= start_ms}
        sleep(POLL_S)


def _places(aws: Aws, config: Config, wanted: Sequence[str]) -> dict[str, Place]:
    """Return where each process writes, as its newest task definition has it."""
    with ThreadPoolExecutor(8) as pool:
        families = [names.family(config, name) for name in wanted]
        definitions = list(pool.map(aws.ecs.describe_task_definition, families))
    found: dict[str, Place] = {}
    for name, definition in zip(wanted, definitions, strict=True):
        for container in containers(definition or {}):
            where = place(definition or {}, str(container["name"]))
            if where is not None:
                found.setdefault(name, where)
    return found


def _read(aws: Aws, places: dict[str, Place], start_ms: int, pattern: str) -> list[Line]:
    found: list[Line] = []
    for process, where in places.items():
        token = ""
        while True:
            page = aws.logs.search(
                where.group,
                start_ms=start_ms,
                stream_prefix=f"{where.prefix}/",
                pattern=pattern,
                token=token,
            )
            found += [_line(process, event) for event in page.events]
            token = page.token
            if not token:
                break
    return sorted(found, key=lambda line: line.timestamp_ms)


def _line(process: str, event: LogEvent) -> Line:
    _prefix, _, rest = event.stream.rpartition("/")
    container = _prefix.rpartition("/")[2]
    return Line(event.timestamp_ms, process, rest, container, event.message.rstrip("\n"))
