"""AWS/ECS: what services and clusters use of what they reserve.

Source: ECS developer guide, "Amazon ECS CloudWatch metrics", "Service utilization metrics": a
service's CPUUtilization is what its tasks use in percent of what they reserve, and SampleCount
tells how many tasks there are. ECS/ContainerInsights counts tasks where a cluster asks for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kaiun.engine.identity import name_of
from kaiun.engine.metrics.book import Point, metric_of
from kaiun.engine.metrics.meters import Meter, Used, owner_of, reserved
from kaiun.engine.operations.machine import instances_of
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.statistics import summary_of

SPACE = "AWS/ECS"
INSIGHTS = "ECS/ContainerInsights"


class ServiceMetrics:
    """Takes a sample of every task at the end of a minute."""

    def __init__(self, world: World, meter: Meter) -> None:
        self._world = world
        self._meter = meter

    async def points(self, at: float) -> list[Point]:
        """Return the data points of the minute that began at `at`."""
        tasks = [t for t in self._world.tasks.values() if t["lastStatus"] == "RUNNING"]
        used = await self._meter.used(tasks) if tasks else {}
        return [
            *_of_services(tasks, used, at),
            *self._of_clusters(tasks, used, at),
            *self._insights(at),
        ]

    def _of_clusters(
        self, tasks: Sequence[Doc], used: Mapping[str, Used], at: float
    ) -> Iterator[Point]:
        """Yield what clusters reserve and use of what their container instances registered."""
        on_instances = [t for t in tasks if "containerInstanceArn" in t]
        for arn in {task["clusterArn"] for task in on_instances}:
            own = [t for t in on_instances if t["clusterArn"] == arn]
            instances = instances_of(self._world, arn)
            cpu = sum(i["_"]["cpu"] for i in instances)
            memory = sum(i["_"]["memory"] for i in instances)
            parts = [used[t["_"]["id"]] for t in own]
            cpus = [p.cpu for p in parts if p.cpu is not None]
            memories = [p.memory_mib for p in parts if p.memory_mib is not None]
            needs = [t["_"]["needs"] for t in own]
            for name, share, whole in (
                ("CPUReservation", sum(n[0] for n in needs), cpu),
                ("MemoryReservation", sum(n[1] for n in needs), memory),
                ("CPUUtilization", sum(cpus) if cpus else None, cpu),
                ("MemoryUtilization", sum(memories) if memories else None, memory),
            ):
                if share is not None and whole:
                    metric = metric_of(SPACE, name, ClusterName=name_of(arn))
                    percent = 100.0 * share / whole
                    yield Point(metric, at, summary_of({percent: 1}), "Percent")

    def _insights(self, at: float) -> Iterator[Point]:
        watched = {arn for arn in self._world.clusters if _is_watched(self._world.clusters[arn])}
        counts: Counter[tuple[str, str]] = Counter()
        for service in self._world.services.values():
            arn = service["clusterArn"]
            if arn not in watched or service["status"] == "INACTIVE":
                continue
            counts[arn, "ServiceCount"] += 1
            dimensions = {"ClusterName": name_of(arn), "ServiceName": service["serviceName"]}
            for name in ("desired", "running", "pending"):
                metric = metric_of(INSIGHTS, f"{name.title()}TaskCount", **dimensions)
                yield Point(metric, at, summary_of({float(service[f"{name}Count"]): 1}), "Count")
        for task in self._world.tasks.values():
            counts[task["clusterArn"], "TaskCount"] += task["lastStatus"] == "RUNNING"
        for arn in watched:
            for name in ("TaskCount", "ServiceCount"):
                metric = metric_of(INSIGHTS, name, ClusterName=name_of(arn))
                yield Point(metric, at, summary_of({float(counts[arn, name]): 1}), "Count")


def _of_services(tasks: Sequence[Doc], used: Mapping[str, Used], at: float) -> Iterator[Point]:
    samples: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
    for task in tasks:
        owner, own = owner_of(task), used[task["_"]["id"]]
        cpu, memory_mib = reserved(task)
        if owner.endswith("/"):
            continue
        if own.cpu is not None:
            samples[owner, "CPUUtilization"][100 * own.cpu / cpu] += 1
        if own.memory_mib is not None and memory_mib:
            samples[owner, "MemoryUtilization"][100 * own.memory_mib / memory_mib] += 1
    for (owner, name), values in samples.items():
        cluster, _, service = owner.partition("/")
        metric = metric_of(SPACE, name, ClusterName=cluster, ServiceName=service)
        yield Point(metric, at, summary_of(values), "Percent")


def _is_watched(cluster: Doc) -> bool:
    return any(
        setting["name"] == "containerInsights" and setting["value"] in ("enabled", "enhanced")
        for setting in cluster.get("settings", ())
    )
