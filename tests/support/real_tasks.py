"""Tasks of a whole engine on real containers: run, waited for, and what they wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.engine import Engine, register, wait_stopped

CLUSTER = "real"
Container = dict[str, Any]


def shell(image: str, script: str, name: str = "app", **fields: Any) -> Container:
    """Return a container definition whose process is a script of BusyBox's shell."""
    own = {"name": name, "image": image, "memory": 64, "stopTimeout": 2}
    return {**own, "entryPoint": ["sh", "-c"], "command": [script], **fields}


@dataclass
class Ran:
    """A task that was started; `family` is its own."""

    engine: Engine
    arn: str
    family: str

    def stopped(self) -> dict[str, Any]:
        return wait_stopped(self.engine.client("ecs"), CLUSTER, self.arn)

    def said(self, name: str = "app") -> list[str]:
        """Return all that a container wrote, once the task has stopped."""
        stopped = self.stopped()
        found = next(c for c in stopped["containers"] if c["name"] == name)
        assert not found.get("reason"), stopped
        assert stopped["stopCode"] == "EssentialContainerExited", stopped
        return self.lines(name)

    def lines(self, name: str = "app") -> list[str]:
        """Return what a container wrote until now."""
        stream = f"{self.family}/{name}/{self.arn.rpartition('/')[2]}"
        logs = self.engine.client("logs")
        group = f"/ecs/{self.family}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=stream)["events"]
        return [event["message"] for event in events]


def start(
    engine: Engine,
    family: str,
    *containers: Container,
    run: dict[str, Any] | None = None,
    **definition: Any,
) -> Ran:
    """Register a definition and run one task of it; `run` are members of RunTask."""
    ecs = engine.client("ecs")
    register(ecs, family, *containers, **definition)
    given = dict(run or {})
    if definition.get("networkMode") == "awsvpc":
        given["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": ["subnet-local"]}}
    answer = ecs.run_task(cluster=CLUSTER, taskDefinition=family, **given)
    assert answer["failures"] == []
    return Ran(engine, str(answer["tasks"][0]["taskArn"]), family)
