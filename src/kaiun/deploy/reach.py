"""Choose the container in which `kaiun exec` runs a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import AwsError, SessionError
from kaiun.plan import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaiun.aws.client import Aws
    from kaiun.aws.types import Task
    from kaiun.config import Config

AGENT = "ExecuteCommandAgent"
_ENABLE = "processes: {NAME: {service: {enableExecuteCommand: true}}}"


@dataclass(frozen=True, slots=True)
class Spot:
    """A container of a running task."""

    task_arn: str
    container: str

    @property
    def task(self) -> str:
        return self.task_arn.rpartition("/")[2]


def choose(aws: Aws, config: Config, process: str, task: str = "", container: str = "") -> Spot:
    """Return a container of a running task of a process: that of the newest task that can be
    reached, or of the one whose id begins with `task`. Raises SessionError where there is none.
    """
    arns = _tasks(aws, config, process)
    running = [t for t in aws.ecs.describe_tasks(config.cluster, arns) if _runs(t, task)]
    if not running:
        wanted = f"task {task}… of {process}" if task else f"task of {process}"
        raise SessionError(
            f"no {wanted} is running in {config.environment}", hint="kaiun status says what is"
        )
    newest = sorted(running, key=lambda t: t["createdAt"].timestamp(), reverse=True)
    name = container or process
    for candidate in newest:
        if _is_reachable(candidate, name):
            return Spot(candidate["taskArn"], name)
    raise _unreachable(newest, process, name)


def _tasks(aws: Aws, config: Config, process: str) -> list[str]:
    try:
        return aws.ecs.list_tasks(config.cluster, service=names.service(config, process))
    except AwsError as problem:
        if problem.code not in {"ClusterNotFoundException", "ServiceNotFoundException"}:
            raise
        raise SessionError(
            f"{process} was never deployed to {config.environment}", hint="kaiun deploy"
        ) from None


def _runs(task: Task, wanted: str) -> bool:
    named = task["taskArn"].rpartition("/")[2].startswith(wanted)
    return named and task.get("lastStatus") == "RUNNING"


def _is_reachable(task: Task, container: str) -> bool:
    own = next((c for c in task.get("containers", []) if c.get("name") == container), None)
    agents = (own or {}).get("managedAgents", [])
    return any(a.get("name") == AGENT and a.get("lastStatus") == "RUNNING" for a in agents)


def _unreachable(tasks: Sequence[Task], process: str, container: str) -> SessionError:
    """Return why no container of these tasks can be reached."""
    first = tasks[0]
    where = first["taskArn"]
    found = [str(c.get("name")) for c in first.get("containers", [])]
    if container not in found:
        return SessionError(
            f"the task has no container {container!r}", where=where, hint=f"{', '.join(found)}"
        )
    if not any(task.get("enableExecuteCommand") for task in tasks):
        return SessionError(
            f"ECS Exec was not enabled when the tasks of {process} were started",
            where=where,
            hint=f"write `{_ENABLE.replace('NAME', process)}` and `roles: {{task: ARN}}` in "
            "kaiun.yml, then `kaiun deploy`; tasks that run already stay as they are",
        )
    return SessionError(
        "the task's agent for ECS Exec does not run (yet)",
        where=where,
        hint="on AWS the task role needs the four ssmmessages permissions, the task a way to "
        "the endpoint of ssmmessages; see docs/how-to/exec.md",
    )
