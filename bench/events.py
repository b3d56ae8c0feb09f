"""What ECS's events on EventBridge cost a deploy of 1,000 imagined tasks, in the engine's CPU time.

The same deploy thrice in one engine: without a rule, with one that no event of ECS matches, with
one that a log group gets every event by. Each task that ends has to be told of. (A queue costs the
engine no more, but moto takes some dozens of messages in a second.) python -m bench events
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._machine import Machine, machine, until

SERVICES = 100
TASKS_EACH = 10
CLUSTER = "events"
NAMES = [f"service-{number:03d}" for number in range(SERVICES)]
GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:all"
DEADLINE_S = 300.0


def run() -> list[tuple[str, str, str]]:
    """Return (figure, measured, limit)."""
    with machine("--runtime", "null", KAIUN_STEADY_S="0.1") as here:
        ecs, events, logs = (here.client(name) for name in ("ecs", "events", "logs"))
        ecs.create_cluster(clusterName=CLUSTER)
        logs.create_log_group(logGroupName="all")
        _deploy(here, ecs, _create(ecs))
        bare_s = _deploy(here, ecs, _update(ecs))
        _rule(events, "other", {"source": ["aws.ec2"]})
        idle_s = _deploy(here, ecs, _update(ecs))
        _rule(events, "every", {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]})
        told_s = _deploy(here, ecs, _update(ecs), _told(logs))
    tasks = SERVICES * TASKS_EACH
    return [
        (f"engine's CPU, deploy of {tasks:,} tasks, no rule", f"{bare_s:.1f} s", "-"),
        (
            "with a rule that matches none of its events",
            f"{idle_s / bare_s:.2f} times",
            "1.2 times",
        ),
        ("with a rule that a log group gets all by", f"{told_s / bare_s:.2f} times", "-"),
    ]


def _rule(events: Any, name: str, pattern: dict[str, Any]) -> None:
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "lines", "Arn": GROUP}])


def _register(ecs: Any) -> str:
    container = {"name": "web", "image": "x", "memory": 64}
    answer = ecs.register_task_definition(family="web", containerDefinitions=[container])
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def _create(ecs: Any) -> Callable[[], str]:
    def create() -> str:
        definition = _register(ecs)
        for name in NAMES:
            ecs.create_service(
                cluster=CLUSTER, serviceName=name, taskDefinition=definition, desiredCount=10
            )
        return definition

    return create


def _update(ecs: Any) -> Callable[[], str]:
    def update() -> str:
        definition = _register(ecs)
        for name in NAMES:
            ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=definition)
        return definition

    return update


def _deploy(
    here: Machine, ecs: Any, change: Callable[[], str], told: Callable[[], bool] = lambda: True
) -> float:
    """Return the seconds of CPU that a change takes until all is as wished, and told of."""
    before_s = _cpu_s(here)
    definition = change()
    until("deployed", lambda: _is_settled(ecs, definition), timeout_s=DEADLINE_S, poll_s=0.5)
    until("told of", told, timeout_s=DEADLINE_S, poll_s=1.0)
    return _cpu_s(here) - before_s


def _is_settled(ecs: Any, definition: str) -> bool:
    found = [
        service
        for first in range(0, SERVICES, 10)
        for service in ecs.describe_services(cluster=CLUSTER, services=NAMES[first : first + 10])[
            "services"
        ]
    ]
    return all(
        (s["taskDefinition"], s["runningCount"], len(s["deployments"])) == (definition, 10, 1)
        for s in found
    )


def _told(logs: Any) -> Callable[[], bool]:
    """Return whether there is a line of the end of every task that was replaced."""
    asked = {"logGroupName": "all", "filterPattern": '"STOPPED"'}

    def told() -> bool:
        pages = logs.get_paginator("filter_log_events").paginate(**asked)
        details = [json.loads(e["message"])["detail"] for page in pages for e in page["events"]]
        ended = {d["taskArn"] for d in details if d["lastStatus"] == "STOPPED"}
        return len(ended) == SERVICES * TASKS_EACH

    return told


def _cpu_s(here: Machine) -> float:
    """Return the CPU time that the engine has had."""
    pid = int((here.root / "home/local/engine.pid").read_text())
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
