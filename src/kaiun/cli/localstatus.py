"""What `kaiun local status` tells: the engine, and through its API what it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.local.process import running

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import Task
    from kaiun.cli.console import Console

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Local:
    is_local: bool = True
    region: str | None = None


def gather(home: Path) -> Facts:
    """Return what there is to tell, ready for JSON."""
    found = running(home)
    if found is None:
        return {"running": False, "home": str(home)}
    env, health = found
    from kaiun.aws.session import connect

    aws = connect(_Local(), home=home)
    return {
        "running": True,
        "home": str(home),
        "endpoint": env.endpoint,
        "pid": health.pid,
        "registry": env.registry,
        "fluent": env.fluent,
        "health": dict(health.facts),
        "clusters": {name: _tasks(aws, name) for name in aws.ecs.list_clusters()},
        "urls": _urls(aws),
    }


def show(console: Console, facts: Facts) -> None:
    """Print it for people."""
    if not facts["running"]:
        console.data("the local ECS is not running")
        console.faint("  kaiun local up")
        return
    console.data(f"engine    {facts['endpoint']}  process {facts['pid']}")
    console.data(f"registry  {facts['registry']}")
    console.data(f"logs      {facts['fluent']} (fluent forward)")
    for url in _list(facts["urls"]):
        console.data(f"url       {url}")
    clusters = facts["clusters"]
    assert isinstance(clusters, dict)  # noqa: S101
    for cluster, tasks in clusters.items():
        console.data(f"cluster   {cluster}: {len(tasks)} tasks")
        rows = [
            (t["group"], t["task"], t["status"], c["name"], c["status"], c["health"], c["runtime"])
            for t in tasks
            for c in t["containers"]
        ]
        if rows:
            console.table(
                ("GROUP", "TASK", "STATUS", "CONTAINER", "STATUS", "HEALTH", "DOCKER"), rows
            )


def _tasks(aws: Aws, cluster: str) -> list[Facts]:
    arns = aws.ecs.list_tasks(cluster)
    return [_task(task) for task in aws.ecs.describe_tasks(cluster, arns)] if arns else []


def _task(task: Task) -> Facts:
    return {
        "task": task["taskArn"].rpartition("/")[2],
        "group": task.get("group", ""),
        "status": task.get("lastStatus", ""),
        "containers": [
            {
                "name": container.get("name", ""),
                "status": container.get("lastStatus", ""),
                "health": container.get("healthStatus", ""),
                "runtime": container.get("runtimeId", "")[:12],
            }
            for container in task.get("containers", [])
        ],
    }


def _urls(aws: Aws) -> list[str]:
    balancers = aws.elb.load_balancers()
    ports = [port for b in balancers for port in aws.elb.listeners(b["LoadBalancerArn"])]
    return [f"http://localhost:{port}" for port in sorted(ports)]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
