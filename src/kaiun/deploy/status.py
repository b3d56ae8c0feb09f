"""What runs now, per service; the truth from AWS only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.aws.client import parallel
from kaiun.deploy.eventlog import ROLLING_BACK
from kaiun.deploy.logplace import containers
from kaiun.deploy.snapshot import NO_CLUSTER
from kaiun.deploy.touch import primary
from kaiun.errors import AwsError
from kaiun.plan import names

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import Service, TaskDefinition
    from kaiun.config import Config


UNDONE = {
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
}  # of a service deployment


@dataclass(frozen=True, slots=True)
class Status:
    """One process. `rolled_back`: the release before this one failed and ECS or kaiun undid it."""

    process: str
    service: str
    state: str  # ACTIVE, DRAINING, MISSING
    task_definition: str = ""
    revision: str = ""
    image: str = ""
    desired: int = 0
    running: int = 0
    pending: int = 0
    targets: Mapping[str, int] | None = None  # by state: {"healthy": 2}
    rollout: str = ""
    reason: str = ""
    since: float = 0.0  # seconds since the epoch
    rolled_back: bool = False
    last_event: str = ""
    newest: str = ""  # of the family, where the service does not run it


def status(aws: Aws, config: Config) -> list[Status]:
    """Return the status of every process, in the order of kaiun.yml. Raises AwsError."""
    by_name = {process: names.service(config, process) for process in config.processes}
    try:
        found = aws.ecs.describe_services(config.cluster, list(by_name.values()))
    except AwsError as problem:
        if problem.code not in NO_CLUSTER:
            raise
        found = {}
    return parallel(
        [_reader(aws, config, process, found.get(name), name) for process, name in by_name.items()]
    )


class _reader:  # noqa: N801  (a call with its arguments)
    def __init__(
        self, aws: Aws, config: Config, process: str, service: Service | None, name: str
    ) -> None:
        self.aws, self.config, self.process = aws, config, process
        self.service, self.name = service, name

    def __call__(self) -> Status:
        service = self.service
        if service is None or service.get("status") == "INACTIVE":
            return Status(self.process, self.name, "MISSING")
        deployment = primary(service)
        arn = deployment.get("taskDefinition") or service.get("taskDefinition", "")
        newest = self.aws.ecs.describe_task_definition(names.family(self.config, self.process))
        runs = newest if _arn(newest) == arn else self.aws.ecs.describe_task_definition(arn)
        created = deployment.get("createdAt")
        events = service.get("events", [])
        undone = self._undone(service) if _arn(newest) != arn else ""
        return Status(
            self.process,
            self.name,
            service.get("status", ""),
            task_definition=_short(arn),
            revision=_env(runs, "KAIUN_REVISION"),
            image=_image(runs),
            desired=service.get("desiredCount", 0),
            running=service.get("runningCount", 0),
            pending=service.get("pendingCount", 0),
            targets=self._targets(service),
            rollout=deployment.get("rolloutState", ""),
            reason=undone or deployment.get("rolloutStateReason", ""),
            since=created.timestamp() if created else 0.0,
            rolled_back=bool(undone),
            last_event=events[0].get("message", "") if events else "",
            newest=_short(_arn(newest)) if _arn(newest) != arn else "",
        )

    def _undone(self, service: Service) -> str:
        """Return why ECS undid the service's last deployment, "" when it did not.

        Asked only of services that do not run the newest of their family.
        """
        reasons = [d.get("rolloutStateReason", "") for d in service.get("deployments", [])]
        if found := next((r for r in reasons if ROLLING_BACK.search(r)), ""):
            return found
        latest = self.aws.ecs.list_service_deployments(self.config.cluster, self.name)
        status = latest[0].get("status", "") if latest else ""
        if status not in UNDONE:
            return ""
        return latest[0].get("statusReason", "") or status

    def _targets(self, service: Service) -> Mapping[str, int] | None:
        groups = [b["targetGroupArn"] for b in service.get("loadBalancers", []) if b]
        if not groups:
            return None
        states = [t.state for arn in groups for t in self.aws.elb.target_health(arn)]
        return {state: states.count(state) for state in sorted(set(states))}


def _arn(definition: TaskDefinition | None) -> str:
    return definition["taskDefinitionArn"] if definition else ""


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]


def _image(definition: TaskDefinition | None) -> str:
    first = next(iter(containers(definition or {})), {})
    return str(first.get("image", ""))


def _env(definition: TaskDefinition | None, name: str) -> str:
    for container in containers(definition or {}):
        pairs = container.get("environment") or ()
        assert isinstance(pairs, list | tuple)  # noqa: S101
        for pair in pairs:
            if pair.get("name") == name:
                return str(pair.get("value", ""))
    return ""
