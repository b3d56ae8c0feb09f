"""Put services back to what they ran before this run touched them, and follow that to its end.

While the failing deployment is under way, StopServiceDeployment makes ECS keep the old tasks that
still run: nothing is started again. Where that cannot be (the deployment has ended, the permission
is missing, it was not the task definition alone that changed), UpdateService sets every field back.
A service that ECS's circuit breaker has put back already is only followed. A service that this run
created has nothing to go back to: it is scaled to 0, so that it stops failing, and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.aws.client import parallel
from kaiun.deploy.events import Listener, Note
from kaiun.deploy.rollout import Progress, Verdict, begin
from kaiun.deploy.touch import Touched, follow, going_back, primary
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import Service
    from kaiun.config import Config
    from kaiun.deploy.watch import Watch

COUNT_TAG = "kaiun:count"
STOP_PATIENCE_S = 15.0
STOP_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Back:
    """How going back ended. `stuck` maps a process to what is wrong with it."""

    restored: tuple[str, ...]
    emptied: tuple[str, ...]
    stuck: dict[str, str]


def roll_back(
    aws: Aws, config: Config, touched: Sequence[Touched], watch: Watch, listener: Listener
) -> Back:
    """Undo everything that was done to services. Errors of AWS are told, not raised."""
    names = [item.service for item in touched]
    live = aws.ecs.describe_services(config.cluster, names) if names else {}
    stuck: dict[str, str] = {}
    rollouts: list[Progress] = []
    created = [item for item in touched if item.before is None]
    updated = [item for item in touched if item.before is not None]

    def undo(item: Touched) -> Callable[[], Progress | AwsError]:
        return lambda: _undo(aws, config, item, live.get(item.service), watch)

    for item, result in zip(updated, parallel(undo(i) for i in updated), strict=True):
        if isinstance(result, AwsError):
            stuck[item.process] = result.message
        else:
            rollouts.append(result)
            listener(Note(f"{item.service} goes back to {_short(result.follow.task_definition)}"))
    emptied = [item.process for item in created if _empty(aws, config, item, stuck, listener)]
    ended = watch.follow(rollouts) if rollouts else ()
    for progress in ended:
        if progress.verdict is not Verdict.DONE:
            stuck[progress.follow.process] = progress.cause or "it does not get steady"
    restored = tuple(p.follow.process for p in ended if p.verdict is Verdict.DONE)
    return Back(restored, tuple(emptied), stuck)


def _undo(
    aws: Aws, config: Config, item: Touched, live: Service | None, watch: Watch
) -> Progress | AwsError:
    """Set the service back, unless ECS itself has done so; return what to follow."""
    request = going_back(config.cluster, item)
    if live is not None and _is_back(live, item, request):
        return begin(follow(config, item.process, live, known=live), live)
    try:
        stopped = _stop(aws, config, item, request, watch) if live else None
        service = stopped or aws.ecs.update_service(request)
    except AwsError as problem:
        return problem
    known = live if stopped else None
    return begin(follow(config, item.process, service, known=known), service)


def _is_back(live: Service, item: Touched, request: Mapping[str, object]) -> bool:
    now = primary(live)
    ours = primary(item.after).get("id")
    return now.get("id") != ours and now.get("taskDefinition") == request["taskDefinition"]


def _stop(
    aws: Aws, config: Config, item: Touched, request: Mapping[str, object], watch: Watch
) -> Service | None:
    """Stop our deployment so that ECS rolls it back; None where that is not the way."""
    if not _only_code(item):
        return None
    try:
        under_way = aws.ecs.list_service_deployments(
            config.cluster, item.service, ["PENDING", "IN_PROGRESS"]
        )
        if len(under_way) != 1:
            return None
        aws.ecs.stop_service_deployment(under_way[0]["serviceDeploymentArn"])
    except AwsError:
        return None
    end = watch.clock() + STOP_PATIENCE_S
    while watch.clock() < end:
        live = aws.ecs.describe_services(config.cluster, [item.service]).get(item.service)
        if live is not None and _is_back(live, item, request):
            return live
        watch.sleep(STOP_POLL_S)
    return None


def _only_code(item: Touched) -> bool:
    """Tell whether the task definition alone changed, from a deployment that was completed."""
    before = primary(item.before or {})
    changed = set(item.request) - {"cluster", "service", "taskDefinition"}
    return not changed and before.get("rolloutState", "COMPLETED") == "COMPLETED"


def _empty(
    aws: Aws, config: Config, item: Touched, stuck: dict[str, str], listener: Listener
) -> bool:
    request = {"cluster": config.cluster, "service": item.service, "desiredCount": 0}
    try:
        service = aws.ecs.update_service(request)
        aws.ecs.tag(service["serviceArn"], {COUNT_TAG: "0"})
    except AwsError as problem:
        stuck[item.process] = problem.message
        return False
    listener(Note(f"{item.service} is new, nothing to go back to: scaled to 0", warning=True))
    return True


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
