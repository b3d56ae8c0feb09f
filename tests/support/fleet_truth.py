"""What a cluster shows, compared with what was asked of it: for the model in fleet_model.

Each check returns "" where all is as it was asked for, else what is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.engine import until

DEADLINE_S = 60.0  # of a machine that does other things too


@dataclass
class Service:
    """What was asked of a service. `definition` is the ARN that it is to end up with."""

    definition: str
    desired: int
    daemon: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class External:
    """A service of task sets: their scales in percent."""

    desired: int
    scales: dict[str, int] = field(default_factory=dict)


class Seen:
    """One cluster, as its clients see it."""

    def __init__(self, ecs: Any, cluster: str, cloud_map: Any, registry: str) -> None:
        self._ecs = ecs
        self._cluster = cluster
        self._cloud_map = cloud_map
        self._registry = registry  # ARN

    def services(self, names: list[str]) -> list[dict[str, Any]]:
        if not names:
            return []
        answer = self._ecs.describe_services(cluster=self._cluster, services=names)
        found: list[dict[str, Any]] = answer["services"]
        return found

    def check_services(self, asked: Mapping[str, Service], machines: int) -> str:
        """`machines` is how many instances take tasks: what a DAEMON service has."""
        shown = {s["serviceName"]: s for s in self.services(sorted(asked))}
        for name, own in asked.items():
            service = shown[name]
            desired = machines if own.daemon else own.desired
            deployments = [(d["taskDefinition"], d["rolloutState"]) for d in service["deployments"]]
            counts = (service["desiredCount"], service["runningCount"], service["pendingCount"])
            if (deployments, counts) != (
                [(own.definition, "COMPLETED")],
                (desired, desired, 0),
            ):
                return f"{name}: {own}, found {deployments} {counts} {service['events'][:5]}"
            arns = self._ecs.list_tasks(cluster=self._cluster, serviceName=name)["taskArns"]
            if len(arns) != desired:
                return f"{name}: {len(arns)} tasks, not {desired}"
        return ""

    def check_external(self, asked: External | None) -> str:
        if asked is None:
            return ""
        answer = self._ecs.describe_task_sets(cluster=self._cluster, service="external")
        found = {s["id"]: s["runningCount"] for s in answer["taskSets"]}
        wanted = {id_: math.ceil(asked.desired * p / 100) for id_, p in asked.scales.items()}
        return "" if found == wanted else f"task sets: {wanted}, found {found}"

    def check_tasks(self, asked: Mapping[str, int | None]) -> str:
        """One-off tasks: each by the exit code that it ends with, None while it is to run."""
        for task in self._described(list(asked)):
            end = asked[task["taskArn"]]
            found = (task["lastStatus"], task["containers"][0].get("exitCode"))
            if found != (("RUNNING", None) if end is None else ("STOPPED", end)):
                return f"task {task['taskArn']}: ends with {end}, found {found}"
        wanted = sum(end is None for end in asked.values())
        left = self._listed(startedBy="model")
        return "" if len(left) == wanted else f"{len(left)} one-off tasks run, not {wanted}"

    def check_empty(self, instance: str) -> str:
        """Nothing runs on an instance, nor is about to stop there."""
        on_it = [
            *self._listed(containerInstance=instance, desiredStatus="RUNNING"),
            *self._listed(containerInstance=instance, desiredStatus="STOPPED"),
        ]
        left = {task["lastStatus"] for task in self._described(on_it)} - {"STOPPED"}
        return f"tasks on an instance that is drained: {left}" if left else ""

    def check_registered(self, names: list[str]) -> str:
        """The tasks of these services are the instances of their registry, and healthy."""
        tasks = [arn for name in names for arn in self._listed(serviceName=name)]
        wanted = {arn.rpartition("/")[2]: "HEALTHY" for arn in tasks}
        answer = self._cloud_map.get_instances_health_status(
            ServiceId=self._registry, MaxResults=100
        )
        assert "NextToken" not in answer
        found = answer["Status"]
        return "" if found == wanted else f"registered: {wanted}, found {found}"

    def _listed(self, **chosen: str) -> list[str]:
        pages = self._ecs.get_paginator("list_tasks").paginate(cluster=self._cluster, **chosen)
        return [arn for page in pages for arn in page["taskArns"]]

    def _described(self, arns: list[str]) -> list[dict[str, Any]]:
        parts = [arns[first : first + 100] for first in range(0, len(arns), 100)]
        return [
            task
            for part in parts
            for task in self._ecs.describe_tasks(cluster=self._cluster, tasks=part)["tasks"]
        ]

    def check_rest(self, names: list[str]) -> str:
        """Nothing is on its way any more: what is seen twice in a row is the same."""
        first, second = self.everything(names), self.everything(names)
        moving = {t["lastStatus"] for t in second["tasks"]} - {"RUNNING", "STOPPED"}
        if moving:
            return f"tasks on their way: {moving}"
        return "" if first == second else "still changing"

    def everything(self, names: list[str]) -> dict[str, Any]:
        """Return all of the cluster, without what differs from answer to answer."""
        ecs, cluster = self._ecs, self._cluster
        tasks = [*self._listed(desiredStatus="RUNNING"), *self._listed(desiredStatus="STOPPED")]
        instances = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        shown = ecs.describe_container_instances(cluster=cluster, containerInstances=instances)
        return {
            "clusters": ecs.describe_clusters(clusters=[cluster])["clusters"],
            "services": self.services(names),
            "tasks": self._described(sorted(tasks)),
            "instances": shown["containerInstances"],
            "definitions": ecs.list_task_definitions(familyPrefix=f"{cluster}-steady")[
                "taskDefinitionArns"
            ],
        }


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield where two answers differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from differences(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    elif before != after:
        yield f"{path}: {before} became {after}"


def wait_true(check: Callable[[], str]) -> None:
    """Wait until a check finds nothing wrong; fail with what it found last."""
    said: list[str] = [""]

    def right() -> bool:
        said[0] = check()
        return not said[0]

    try:
        until(right, DEADLINE_S)
    except AssertionError:
        raise AssertionError(said[0]) from None
