"""Put services back to what they ran before this run touched them, and follow that to its end.

While the failing deployment is under way, StopServiceDeployment makes ECS keep the old tasks that
still run: nothing is started again. Where that cannot be (the deployment has ended, the permission
is missing, it was not the task definition alone that changed), UpdateService sets every field back.
A service that ECS's circuit breaker has put back already is only followed. A service that this run
created has nothing to go back to: it is scaled to 0, so that it stops failing, and stays; one of
the DAEMON strategy, for which ECS takes no count, is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Back:
    """How going back ended. `stuck` maps a process to what is wrong with it."""

    restored: tuple[str, ...]
    emptied: tuple[str, ...]
    stuck: dict[str, str]
    deleted: tuple[str, ...] = ()


def roll_back(
    aws: Aws, config: Config, touched: Sequence[Touched], watch: Watch, listener: Listener
) -> Back:
    """Undo everything that was done to services. Errors of AWS are told, not raised."""
    return _Way(aws, config, watch, listener).back(touched)


@dataclass(slots=True)
class _Way:
    aws: Aws
    config: Config
    watch: Watch
    listener: Listener
    stuck: dict[str, str] = field(default_factory=dict)

    def back(self, touched: Sequence[Touched]) -> Back:
        """Undo; a way back that ECS's circuit breaker broke is begun anew.

        What broke it, say a health check that only the bad release passes, is undone by then.
        """
        new = [item for item in touched if item.before is None]
        emptied = [i.process for i in new if not _is_daemon(i) and self._end(i, self._empty)]
        deleted = [i.process for i in new if _is_daemon(i) and self._end(i, self._delete)]
        left = [item for item in touched if item.before is not None]
        ended: dict[str, Progress] = {}
        for _ in range(ATTEMPTS):
            live = self._live(left)
            left = [item for item in left if not _hopeless(ended.get(item.process), live)]
            if not left:
                break
            ended |= self._attempt(left, live)
            left = [i for i in left if i.process not in self.stuck and not _done(ended[i.process])]
        restored = [process for process, progress in ended.items() if _done(progress)]
        for process, progress in ended.items():
            if process not in restored:
                self.stuck[process] = progress.cause or "it does not get steady"
        return Back(tuple(restored), tuple(emptied), self.stuck, tuple(deleted))

    def _live(self, items: Sequence[Touched]) -> Mapping[str, Service]:
        names = [item.service for item in items]
        return self.aws.ecs.describe_services(self.config.cluster, names) if names else {}

    def _attempt(
        self, items: Sequence[Touched], live: Mapping[str, Service]
    ) -> dict[str, Progress]:
        """Set services back and follow them until all are steady or one fails, by process."""

        def undo(item: Touched) -> Callable[[], Progress | AwsError]:
            return lambda: self._undo(item, live.get(item.service))

        rollouts: list[Progress] = []
        for item, result in zip(items, parallel(undo(i) for i in items), strict=True):
            if isinstance(result, AwsError):
                self.stuck[item.process] = result.message
            else:
                rollouts.append(result)
                name = _short(result.follow.task_definition)
                self.listener(Note(f"{item.service} goes back to {name}"))
        return {p.follow.process: p for p in self.watch.follow(rollouts)} if rollouts else {}

    def _undo(self, item: Touched, live: Service | None) -> Progress | AwsError:
        """Set the service back, unless ECS itself has done so; return what to follow."""
        request = going_back(self.config.cluster, item)
        if live is not None and _is_back(live, item, request):
            return begin(follow(self.config, item.process, live, known=live), live)
        try:
            stopped = self._stop(item, request) if live else None
            if live and primary(live).get("rolloutState") == "FAILED":
                request["forceNewDeployment"] = True
            service = stopped or self.aws.ecs.update_service(request)
        except AwsError as problem:
            return problem
        known = live if stopped else None
        return begin(follow(self.config, item.process, service, known=known), service)

    def _stop(self, item: Touched, request: Mapping[str, object]) -> Service | None:
        """Stop our deployment so that ECS rolls it back; None where that is not the way."""
        if not _only_code(item):
            return None
        cluster, ecs = self.config.cluster, self.aws.ecs
        try:
            under_way = ecs.list_service_deployments(
                cluster, item.service, ["PENDING", "IN_PROGRESS"]
            )
            if len(under_way) != 1:
                return None
            ecs.stop_service_deployment(under_way[0]["serviceDeploymentArn"])
        except AwsError:
            return None
        end = self.watch.clock() + STOP_PATIENCE_S
        while self.watch.clock() < end:
            live = ecs.describe_services(cluster, [item.service]).get(item.service)
            if live is not None and _is_back(live, item, request):
                return live
            self.watch.sleep(STOP_POLL_S)
        return None

    def _end(self, item: Touched, how: Callable[[Touched], str]) -> bool:
        """Have a new service fail no longer; `how` does it, and returns what it did."""
        try:
            done = how(item)
        except AwsError as problem:
            self.stuck[item.process] = problem.message
            return False
        told = f"{item.service} is new, nothing to go back to: {done}"
        self.listener(Note(told, warning=True))
        return True

    def _empty(self, item: Touched) -> str:
        request = {"cluster": self.config.cluster, "service": item.service, "desiredCount": 0}
        service = self.aws.ecs.update_service(request)
        self.aws.ecs.tag(service["serviceArn"], {COUNT_TAG: "0"})
        return "scaled to 0"

    def _delete(self, item: Touched) -> str:
        """Delete a new DAEMON service; UpdateService refuses any desiredCount for it.

        Source: ECS API reference, DeleteService: without `force` a service has to be of count 0.
        """
        self.aws.ecs.delete_service(self.config.cluster, item.service, force=True)
        return "deleted, for a DAEMON has no count"


def _is_daemon(item: Touched) -> bool:
    return item.after.get("schedulingStrategy") == "DAEMON"


def _done(progress: Progress) -> bool:
    return progress.verdict is Verdict.DONE


def _hopeless(progress: Progress | None, live: Mapping[str, Service]) -> bool:
    """Tell whether another attempt is useless: somebody else deploys, or ECS has not given up."""
    if progress is None or not progress.over:
        return False
    now = primary(live.get(progress.follow.service, {}))
    ours = now.get("id") == progress.follow.deployment
    waits = ours and now.get("rolloutState") != "FAILED"
    return progress.verdict is Verdict.SUPERSEDED or waits


def _is_back(live: Service, item: Touched, request: Mapping[str, object]) -> bool:
    now = primary(live)
    ours = primary(item.after).get("id")
    back = now.get("id") != ours and now.get("taskDefinition") == request["taskDefinition"]
    return back and now.get("rolloutState") != "FAILED"


def _only_code(item: Touched) -> bool:
    """Tell whether the task definition alone changed, from a deployment that was completed."""
    before = primary(item.before or {})
    changed = set(item.request) - {"cluster", "service", "taskDefinition"}
    return not changed and before.get("rolloutState", "COMPLETED") == "COMPLETED"


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
