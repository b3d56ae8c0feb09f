"""The releases that ECS itself remembers, for where no history says (`state: null`, a lost bucket).

ECS keeps the deployments of each service for 90 days (ListServiceDeployments), and each names
the task definition that it brought (DescribeServiceRevisions). The tags that kaiun gave these say
which release they belong to: the services of one release are found again by them. A task
definition without tags, which kaiun did not register, is a release of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kaiun.aws.client import parallel
from kaiun.deploy.logplace import containers
from kaiun.deploy.releases import FROM_ECS, Record, Result, release_id
from kaiun.deploy.snapshot import NO_CLUSTER
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import ServiceDeployment, TaskDefinition

RECENT = 20  # deployments of each service
UNDER_WAY = {"PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED"}
WENT_BACK = {"ROLLBACK_SUCCESSFUL", "ROLLBACK_IN_PROGRESS"}
UNKNOWN_SERVICE = {"ServiceNotFoundException", *NO_CLUSTER}


@dataclass(frozen=True, slots=True)
class Roll:
    """One deployment of one service. Times in seconds since the epoch."""

    process: str
    task_definition: str  # ARN
    status: str  # of ServiceDeployment
    created: float
    finished: float

    @property
    def successful(self) -> bool:
        return self.status == "SUCCESSFUL"


@dataclass(frozen=True, slots=True)
class Known:
    """What a task definition says of the release that registered it; "" where it does not."""

    release: str = ""
    revision: str = ""
    image: str = ""
    by: str = ""
    active: bool = False  # ECS runs no other one


def read(aws: Aws, cluster: str, services: Mapping[str, str]) -> list[Record]:
    """Return the releases that ECS remembers of services (process → name), newest first.

    Raises AwsError.
    """
    reads = [partial(_rolls, aws, cluster, process, name) for process, name in services.items()]
    rolls = [roll for some in parallel(reads) for roll in some]
    arns = sorted({roll.task_definition for roll in rolls})
    return told(rolls, dict(zip(arns, parallel(_reader(aws, arn) for arn in arns), strict=True)))


def merge(history: Iterable[Record], remembered: Iterable[Record]) -> list[Record]:
    """Return both, newest first; of a release that both know, the record of the history."""
    written = list(history)
    own = {record.id for record in written}
    everything = [*written, *(record for record in remembered if record.id not in own)]
    return sorted(everything, key=_began, reverse=True)


def told(rolls: Sequence[Roll], known: Mapping[str, Known]) -> list[Record]:
    """Return the releases that deployments make up, newest first."""
    by_release: dict[str, list[Roll]] = {}
    for roll in sorted(rolls, key=lambda roll: roll.created):
        facts = known.get(roll.task_definition, Known())
        ident = facts.release or _unnamed(roll, rolls, facts)
        by_release.setdefault(ident, []).append(roll)
    records = [_record(ident, own, rolls, known) for ident, own in by_release.items()]
    return sorted(records, key=_began, reverse=True)


def _unnamed(roll: Roll, rolls: Sequence[Roll], facts: Known) -> str:
    same = [other.created for other in rolls if other.task_definition == roll.task_definition]
    return release_id(facts.revision or "untagged", min(same))


def _record(
    ident: str, own: Sequence[Roll], rolls: Sequence[Roll], known: Mapping[str, Known]
) -> Record:
    """Return one release; processes that it left alone have what they ran when it was shipped."""
    first = _first_of_each(own)
    end = max(roll.finished for roll in first.values())
    before = sorted((r for r in rolls if r.successful and r.created <= end), key=_created)
    others = {roll.process: roll.task_definition for roll in before}
    given = others | {process: roll.task_definition for process, roll in first.items()}
    facts = known.get(own[0].task_definition, Known())
    began = min(roll.created for roll in first.values())
    inactive = any(not known.get(arn, Known()).active for arn in given.values())
    result = Result.DEREGISTERED if inactive else _result(own)
    return Record(
        ident, facts.revision, "", facts.by, began, round(end - began, 1), result,
        image=facts.image, task_definitions=given, source=FROM_ECS,
    )  # fmt: skip


def _first_of_each(own: Sequence[Roll]) -> dict[str, Roll]:
    """Return each process's first successful deployment of a release, else its first one."""
    chosen: dict[str, Roll] = {}
    for roll in own:
        kept = chosen.setdefault(roll.process, roll)
        if roll.successful and not kept.successful:
            chosen[roll.process] = roll
    return chosen


def _result(own: Sequence[Roll]) -> Result:
    """Return how a release ended: a service that never got it makes the whole bad."""
    good = {roll.process for roll in own if roll.successful}
    bad = {roll.status for roll in own if roll.process not in good}
    if not bad:
        return Result.DEPLOYED
    if bad & UNDER_WAY:
        return Result.UNDER_WAY
    return Result.ROLLED_BACK if bad & WENT_BACK else Result.STOPPED


def _began(record: Record) -> tuple[float, str]:
    return record.started, record.id


def _created(roll: Roll) -> float:
    return roll.created


def _rolls(aws: Aws, cluster: str, process: str, service: str) -> list[Roll]:
    try:
        listed = aws.ecs.list_service_deployments(cluster, service)[:RECENT]
    except AwsError as problem:
        if problem.code in UNKNOWN_SERVICE:
            return []
        raise
    revisions = aws.ecs.describe_service_revisions(
        sorted({item["targetServiceRevisionArn"] for item in listed})
    )
    brought = {item["serviceRevisionArn"]: item["taskDefinition"] for item in revisions}
    found = ((item, brought.get(item["targetServiceRevisionArn"])) for item in listed)
    return [_roll(process, item, arn) for item, arn in found if arn]


def _roll(process: str, item: ServiceDeployment, arn: str) -> Roll:
    created = item["createdAt"].timestamp()
    finished = item["finishedAt"].timestamp() if "finishedAt" in item else created
    return Roll(process, arn, item.get("status", ""), created, finished)


def _reader(aws: Aws, arn: str) -> Callable[[], Known]:
    def read_one() -> Known:
        found = aws.ecs.describe_tagged_task_definition(arn)
        return _known(*found) if found else Known()

    return read_one


def _known(definition: TaskDefinition, tags: Mapping[str, str]) -> Known:
    image = next((str(c.get("image", "")) for c in containers(definition)), "")
    return Known(
        release=tags.get("kaiun:release", ""),
        revision=tags.get("kaiun:revision", ""),
        image=image,
        by=definition.get("registeredBy", "").rpartition("/")[2],
        active=definition.get("status", "ACTIVE") == "ACTIVE",
    )
