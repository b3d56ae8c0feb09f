"""A canary with a PAUSE hook, driven by the aws command line, through HAProxy to containers."""

from __future__ import annotations

import http.client
import json
import math
from collections import Counter
from typing import Any

import pytest
from support.awscli import aws
from support.engine import Engine, container, register
from support.load import Load
from support.shifting import Road, build_road, wait_for, wait_paused, weights

from kaiun.engine.child import free_port

pytestmark = pytest.mark.docker

REQUESTS = 1000
SHARE = 0.05
BAND = 0.999
CONFIGURATION = {
    "strategy": "CANARY",
    "bakeTimeInMinutes": 0,
    "canaryConfiguration": {"canaryPercent": 100 * SHARE, "canaryBakeTimeInMinutes": 0},
    "lifecycleHooks": [
        {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
    ],
}


def band(trials: int, share: float, covered: float) -> range:
    """Return the counts of a binomial trial with probability `covered`, both tails alike."""
    tail, below, low, high = (1 - covered) / 2, 0.0, None, None
    for count in range(trials + 1):
        below += chance(trials, share, count)
        if low is None and below > tail:
            low = count
        if high is None and below >= 1 - tail:
            high = count
    assert low is not None
    assert high is not None
    return range(low, high + 1)


def chance(trials: int, share: float, count: int) -> float:
    """Return how likely a binomial trial is to have exactly this count."""
    return math.comb(trials, count) * share**count * (1 - share) ** (trials - count)


def outside(trials: int, share: float, counts: range) -> float:
    """Return how likely a binomial trial is to have none of these counts."""
    return 1 - math.fsum(chance(trials, share, count) for count in counts)


def said_of(count: int, counts: range) -> str:
    """Return what a count outside of the band means: a mistake, or one run of many."""
    runs = round(1 / outside(REQUESTS, SHARE, counts))
    return (
        f"{count} of {REQUESTS} requests went to the canary instead of {counts[0]} to {counts[-1]};"
        f" chance alone does that in one run of {runs}, so run it again first"
    )


def answers(port: int, count: int) -> Counter[str]:
    """Count what so many requests were answered; raises where one is not."""
    found: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for _ in range(count):
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200
        found[answer.read().decode().strip()] += 1
    connection.close()
    return found


def version(engine: Engine, image: str, name: str) -> str:
    """Register a task definition whose container answers with its name."""
    command = ["sh", "-c", f"echo {name} > /www/index.html; exec httpd -f -p 8080 -h /www"]
    mapping = {"containerPort": 8080, "hostPort": 0}
    web = container(image=image, command=command, portMappings=[mapping], stopTimeout=2)
    return register(engine.client("ecs"), "web", web)


def start(engine: Engine, image: str) -> tuple[Road, int, int]:
    """Serve v1 behind a load balancer; return it, and the ports of production and test traffic."""
    ports = (free_port(), free_port())
    road = build_road(engine.client("elbv2"), "web", ports)
    aws(engine, "ecs", "create-cluster", "--cluster-name", "c")
    service = {
        "cluster": "c",
        "serviceName": "web",
        "taskDefinition": version(engine, image, "v1"),
        "desiredCount": 2,
        "loadBalancers": road.load_balancers(8080),
    }
    aws(engine, "ecs", "create-service", "--cli-input-json", json.dumps(service))
    aws(engine, "ecs", "wait", "services-stable", "--cluster", "c", "--services", "web")
    return road, *ports


def deploy(engine: Engine, image: str) -> str:
    answer = aws(
        engine, "ecs", "update-service", "--cluster", "c", "--service", "web",
        "--task-definition", version(engine, image, "v2"),
        "--deployment-configuration", json.dumps(CONFIGURATION),
    )  # fmt: skip
    return str(answer["service"]["currentServiceDeployment"])


def act(engine: Engine, deployment: str, hook: str, action: str) -> None:
    aws(
        engine, "ecs", "continue-service-deployment", "--service-deployment-arn", deployment,
        "--hook-id", hook, "--action", action,
    )  # fmt: skip


def to_canary(engine: Engine, image: str) -> tuple[str, str]:
    """Deploy v2 up to the pause behind its first step; return deployment and hook."""
    ecs: Any = engine.client("ecs")
    deployment = deploy(engine, image)
    first = wait_paused(ecs, deployment)["hookId"]
    act(engine, deployment, first, "CONTINUE")
    return deployment, wait_paused(ecs, deployment, after=first)["hookId"]


def test_five_percent_of_requests_go_to_the_canary_then_all_of_them(
    machine: Engine, image: str
) -> None:
    road, port, test_port = start(machine, image)
    with Load(port, rate=50) as load:
        deployment, hook = to_canary(machine, image)
        assert weights(machine.client("elbv2"), road.production)[road.green] == 100 * SHARE
        seen = answers(port, REQUESTS)
        assert seen.keys() <= {"v1", "v2"}
        expected = band(REQUESTS, SHARE, BAND)
        assert seen["v2"] in expected, said_of(seen["v2"], expected)
        assert answers(test_port, 50) == {"v2": 50}
        act(machine, deployment, hook, "CONTINUE")
        wait_for(machine.client("ecs"), deployment, status="SUCCESSFUL")
        assert answers(port, 100) == {"v2": 100}
    assert load.report.failures == []
    tasks = aws(machine, "ecs", "list-tasks", "--cluster", "c", "--service-name", "web")
    assert len(tasks["taskArns"]) == 2


def test_an_aborted_canary_goes_back(machine: Engine, image: str) -> None:
    road, port, test_port = start(machine, image)
    before = aws(machine, "ecs", "list-tasks", "--cluster", "c", "--service-name", "web")
    with Load(port, rate=50) as load:
        deployment, hook = to_canary(machine, image)
        act(machine, deployment, hook, "ROLLBACK")
        wait_for(machine.client("ecs"), deployment, status="ROLLBACK_SUCCESSFUL")
        assert answers(port, 100) == {"v1": 100}
        assert answers(test_port, 20) == {"v1": 20}
    assert load.report.failures == []
    assert weights(machine.client("elbv2"), road.production) == {road.blue: 100, road.green: 0}
    after = aws(machine, "ecs", "list-tasks", "--cluster", "c", "--service-name", "web")
    assert set(after["taskArns"]) == set(before["taskArns"])


def test_the_band_is_that_of_the_binomial() -> None:
    counts = band(REQUESTS, SHARE, BAND)
    assert counts == range(29, 75)
    assert outside(REQUESTS, SHARE, counts) < 1 - BAND
    assert "one run of 1245" in said_of(80, counts)
