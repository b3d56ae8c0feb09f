"""From UpdateService to the new container started, beside `docker run` of the same image.

python -m bench.launch
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from datetime import datetime
from typing import Any

from bench._machine import machine, until

IMAGE = "kaiun-base:bookworm"
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
ROUNDS = 9
LIMIT = 1.25


def started_at(container: str) -> float:
    """Return the epoch time at which Docker started a container."""
    raw = subprocess.check_output(["docker", "inspect", container])
    stamp: str = json.loads(raw)[0]["State"]["StartedAt"]
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def docker_run_s(network: str) -> float:
    began = time.time()
    argv = ["docker", "run", "-d", "--network", network, IMAGE, *COMMAND]
    container = subprocess.check_output(argv, text=True).strip()
    try:
        return started_at(container) - began
    finally:
        subprocess.run(["docker", "rm", "-f", container], check=True, stdout=subprocess.DEVNULL)


def update_service_s(ecs: Any) -> float:
    """Force a new deployment; return the time until its container has started, then settle."""
    before = set(ecs.list_tasks(cluster="bench")["taskArns"])
    began = time.time()
    ecs.update_service(cluster="bench", service="sleeper", forceNewDeployment=True)

    def new_container() -> str:
        new = [arn for arn in ecs.list_tasks(cluster="bench")["taskArns"] if arn not in before]
        if not new:
            return ""
        task = ecs.describe_tasks(cluster="bench", tasks=new)["tasks"][0]
        found: str = task["containers"][0].get("runtimeId", "")
        return found if task["lastStatus"] == "RUNNING" else ""

    seconds = started_at(until("a new container", new_container)) - began
    until("one deployment", lambda: len(deployments(ecs)) == 1)
    return seconds


def deployments(ecs: Any) -> list[Any]:
    found: list[Any] = ecs.describe_services(cluster="bench", services=["sleeper"])["services"]
    rows: list[Any] = found[0]["deployments"]
    return rows if rows[0]["rolloutState"] == "COMPLETED" else [*rows, None]


def bench_network() -> str:
    fmt = "{{.Name}}"
    argv = ["docker", "network", "ls", "--filter", "label=kaiun.engine", "--format", fmt]
    return subprocess.check_output(argv, text=True).split()[0]


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with machine(KAIUN_STEADY_S="0.2") as here:
        ecs = here.client("ecs")
        ecs.create_cluster(clusterName="bench")
        container = {"name": "app", "image": IMAGE, "command": COMMAND, "memory": 64}
        family = {"family": "sleeper", "containerDefinitions": [container]}
        ecs.register_task_definition(**family)
        ecs.create_service(
            cluster="bench", serviceName="sleeper", taskDefinition="sleeper", desiredCount=1
        )
        until("the service is steady", lambda: len(deployments(ecs)) == 1)
        network = bench_network()
        pairs = [(update_service_s(ecs), docker_run_s(network)) for _ in range(ROUNDS)]
    ours = statistics.median(pair[0] for pair in pairs)
    docker = statistics.median(pair[1] for pair in pairs)
    return [
        ("UpdateService → container started ÷ docker run", f"{ours / docker:.2f}", f"≤ {LIMIT}"),
        ("  UpdateService → container started", f"{ours * 1000:.0f} ms", "—"),
        ("  docker run -d → container started", f"{docker * 1000:.0f} ms", "—"),
    ]


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
