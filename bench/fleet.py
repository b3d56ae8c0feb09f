"""1,000 services of 10 tasks each on imagined containers: made, and all deployed anew at once.

After each step every service is asked, every task counted and looked up in the runtime's own file:
a lost or doubled one ends the bench. python -m bench fleet
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench._machine import Machine, machine, until

SERVICES = 1000
TASKS_EACH = 10
TASKS = SERVICES * TASKS_EACH
DEADLINE_S = 600.0
CLUSTER = "fleet"


def run() -> list[tuple[str, str, str]]:
    """Return (figure, measured, limit)."""
    with machine("--runtime", "null", KAIUN_STEADY_S="0.1") as here:
        ecs = here.client("ecs")
        ecs.create_cluster(clusterName=CLUSTER)
        began = time.monotonic()
        first = _register(ecs)
        for name in _names():
            ecs.create_service(
                cluster=CLUSTER, serviceName=name, taskDefinition=first, desiredCount=TASKS_EACH
            )
        made_s = _settle(here, ecs, first) - began
        full = _rss_mib(here)
        began = time.monotonic()
        second = _register(ecs)
        for name in _names():
            ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=second)
        deployed_s = _settle(here, ecs, second) - began
        return [
            (f"{SERVICES:,} services, {TASKS:,} tasks: made", f"{made_s:.0f} s", "-"),
            ("engine, resident with them", f"{full:.0f} MB", "-"),
            ("a deploy of all of them at once", f"{deployed_s:.0f} s", "-"),
            ("tasks replaced", f"{TASKS / deployed_s:,.0f}/s", "-"),
            ("engine, resident after it", f"{_rss_mib(here):.0f} MB", "-"),
            ("tasks lost or doubled", "0", "0"),
        ]


def _names() -> Iterator[str]:
    return (f"service-{number:04d}" for number in range(SERVICES))


def _register(ecs: Any) -> str:
    answer = ecs.register_task_definition(
        family="web", containerDefinitions=[{"name": "web", "image": "x", "memory": 64}]
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def _settle(here: Machine, ecs: Any, definition: str) -> float:
    """Wait until every service has its tasks of this definition alone; return when it was."""
    waiting = list(_names())

    def settled() -> bool:
        while waiting and _is_settled(ecs, waiting[-10:], definition):
            del waiting[-10:]
        return not waiting

    until("every service is deployed", settled, timeout_s=DEADLINE_S, poll_s=0.2)
    done = time.monotonic()
    _count(here, ecs, definition)
    return done


def _is_settled(ecs: Any, names: list[str], definition: str) -> bool:
    return all(
        len(service["deployments"]) == 1
        and service["deployments"][0]["rolloutState"] == "COMPLETED"
        and service["taskDefinition"] == definition
        and (service["runningCount"], service["pendingCount"]) == (TASKS_EACH, 0)
        for service in ecs.describe_services(cluster=CLUSTER, services=names)["services"]
    )


def _count(here: Machine, ecs: Any, definition: str) -> None:
    """Raise RuntimeError unless exactly the tasks that are wished for are there."""
    arns = [
        arn
        for page in ecs.get_paginator("list_tasks").paginate(cluster=CLUSTER)
        for arn in page["taskArns"]
    ]
    groups: Counter[str] = Counter()
    for first in range(0, len(arns), 100):
        tasks = ecs.describe_tasks(cluster=CLUSTER, tasks=arns[first : first + 100])["tasks"]
        groups.update(t["group"] for t in tasks if t["taskDefinitionArn"] == definition)
    wrong = {group: count for group, count in groups.items() if count != TASKS_EACH}
    running = _imagined(here.root / "home/local/null.db")
    facts = (len(arns), len(groups), len(wrong), running == {a.rpartition("/")[2] for a in arns})
    if facts != (TASKS, SERVICES, 0, True):
        raise RuntimeError(f"tasks, services, wrong counts, same containers: {facts}")


def _imagined(path: Path) -> set[str]:
    """Return the ids of the tasks whose containers the runtime has."""
    with closing(sqlite3.connect(path)) as db:
        return {json.loads(body)["task"] for (body,) in db.execute("SELECT body FROM box")}


def _rss_mib(here: Machine) -> float:
    pid = int((here.root / "home/local/engine.pid").read_text())
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmRSS"))
