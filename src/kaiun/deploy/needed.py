"""Which releases are still needed: what runs, what was released last, what was live lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kaiun.assets.retention import DAY_S, Needed
from kaiun.aws.client import parallel
from kaiun.deploy import lineage, releases
from kaiun.deploy.logplace import containers
from kaiun.deploy.releases import Record, Result
from kaiun.deploy.snapshot import NO_CLUSTER
from kaiun.errors import AwsError
from kaiun.plan import names

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.config.assets import Keep
    from kaiun.deploy.state import State

HISTORY = 1000  # releases looked at
GONE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class Shipped:
    """The commit and the image, by digest, of one release; "" where it is not known."""

    revision: str
    image: str


def needed(aws: Aws, config: Config, state: State | None, keep: Keep, now: float) -> Needed:
    """Return what `keep` and everything that runs need. Raises AwsError."""
    history = releases.history(state, HISTORY)
    if not history:
        history = lineage.read(aws, config.cluster, names.wanted(config).services)
    kept = [*running(aws, config), *recent(history, keep.releases, now - keep.days * DAY_S)]
    return Needed(
        revisions=frozenset(each.revision for each in kept if each.revision),
        images=frozenset(each.image for each in kept if each.image),
        newest=keep.releases,
        since=now - keep.days * DAY_S,
    )


def recent(history: Sequence[Record], count: int, since: float) -> list[Shipped]:
    """Return the last `count` good releases, and all that were live at `since` or later.

    `history`: newest first. A release is live until the next one begins.
    """
    good = [record for record in history if record.result == Result.DEPLOYED][:count]
    lately = [record for record in history if record.started >= since]
    earlier = [record for record in history if record.started < since][:1]
    kept = {record.id: record for record in (*good, *lately, *earlier)}
    return [Shipped(record.revision, _digest(record.image)) for record in kept.values()]


def running(aws: Aws, config: Config) -> list[Shipped]:
    """Return what services are meant to run, and what tasks do run. Raises AwsError."""
    try:
        arns = {*_of_services(aws, config), *_of_tasks(aws, config)}
    except AwsError as problem:
        if problem.code in NO_CLUSTER:
            return []
        raise
    found = parallel(partial(_shipped, aws, config, arn) for arn in sorted(arns))
    return [shipped for some in found for shipped in some]


def _of_services(aws: Aws, config: Config) -> Iterable[str]:
    wanted = names.wanted(config)
    listed = {arn.rpartition("/")[2] for arn in aws.ecs.list_services(config.cluster)}
    ours = set(wanted.services.values()) | {
        name for name in listed if name.startswith(wanted.service_prefix)
    }
    services = aws.ecs.describe_services(config.cluster, sorted(ours & listed)).values()
    for service in services:
        if service.get("status") != GONE:
            yield service["taskDefinition"]
            yield from (d["taskDefinition"] for d in service.get("deployments", []))


def _of_tasks(aws: Aws, config: Config) -> Iterable[str]:
    wanted = names.wanted(config)
    families = set(wanted.families.values())
    for task in aws.ecs.describe_tasks(config.cluster, aws.ecs.list_tasks(config.cluster)):
        arn = task["taskDefinitionArn"]
        family = arn.rpartition("/")[2].partition(":")[0]
        if family in families or family.startswith(wanted.service_prefix):
            yield arn


def _shipped(aws: Aws, config: Config, arn: str) -> list[Shipped]:
    """Return the release of a task definition that runs the app's image, else nothing.

    An image of its own (a database) may be years older than the pages that are served.
    """
    found = aws.ecs.describe_tagged_task_definition(arn)
    if found is None:
        return []
    definition, tags = found
    images = [str(container.get("image", "")) for container in containers(definition)]
    repository = config.image.repository
    own = [image for image in images if image.startswith((f"{repository}@", f"{repository}:"))]
    return [Shipped(tags.get("kaiun:revision", ""), _digest(image)) for image in own]


def _digest(image: str) -> str:
    return image.partition("@")[2]
