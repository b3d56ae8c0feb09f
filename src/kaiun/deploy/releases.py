"""Who shipped what, when, and how it ended: one small JSON object for each release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from kaiun.errors import UsageError

if TYPE_CHECKING:
    from kaiun.deploy.state import State

FOLDER = "releases/"
SHOWN = 20
FROM_HISTORY = "history"
FROM_ECS = "ecs"


class Result(StrEnum):
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled back"
    STUCK = "stuck"
    INTERRUPTED = "interrupted"
    UNDER_WAY = "under way"  # this one and those below: only as ECS tells it
    STOPPED = "stopped"
    DEREGISTERED = "deregistered"  # a task definition of it is: ECS cannot run it again


@dataclass(frozen=True, slots=True)
class Record:
    """One release. `task_definitions` maps process → the ARN it was given.

    `source`: who says so, the history in the state bucket or ECS itself.
    """

    id: str
    revision: str
    subject: str
    by: str
    started: float
    seconds: float
    result: str
    image: str = ""
    kind: str = "deploy"  # or rollback
    cause: str = ""
    task_definitions: Mapping[str, str] = field(default_factory=dict)
    source: str = FROM_HISTORY
    allowed_cpu: str = ""  # why an image above the cluster's CPUs was let pass


def release_id(revision: str, now: float) -> str:
    """Return an id that sorts by time and names the commit: 20261123T063000Z-1a2b3c4d."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{revision[:8]}"


def write(state: State | None, record: Record) -> None:
    """Keep the record; without a state bucket do nothing."""
    if state is not None:
        body = json.dumps(asdict(record), indent=1).encode()
        state.put(f"{FOLDER}{record.id}.json", body)


def history(state: State | None, count: int = SHOWN) -> list[Record]:
    """Return the last releases, newest first."""
    if state is None:
        return []
    keys = sorted(state.keys(FOLDER), reverse=True)[:count]
    with ThreadPoolExecutor(8) as pool:
        stored = [found for found in pool.map(state.get, keys) if found]
    return [_record(json.loads(found.body)) for found in stored]


def previous_good(records: Sequence[Record], running: Mapping[str, str]) -> Record:
    """Return the newest good release before the one that runs (process → task definition ARN).

    Going back twice goes back two releases. Raises UsageError when there is none.
    """
    good = [r for r in records if r.result == Result.DEPLOYED and r.kind == "deploy"]
    current = next((i for i, r in enumerate(good) if _runs(r, running)), -1)
    for record in good[current + 1 :]:
        if not _runs(record, running):
            return record
    raise UsageError(
        "there is no earlier good release to go back to", hint="kaiun releases shows the history"
    )


def _runs(record: Record, running: Mapping[str, str]) -> bool:
    return all(running.get(p) == arn for p, arn in record.task_definitions.items())


def named(records: Sequence[Record], wanted: str) -> Record:
    """Return the release with this id, or of this commit (newest first). Raises UsageError."""
    for record in records:
        if record.id == wanted or record.id.startswith(wanted):
            return record
    for record in records:
        if len(wanted) >= 4 and record.revision.startswith(wanted):
            return record
    raise UsageError(f"no release {wanted!r}", hint="kaiun releases shows the history")


def _record(found: Mapping[str, object]) -> Record:
    known = {name: found[name] for name in Record.__slots__ if name in found}
    return Record(**known)  # type: ignore[arg-type]
