"""The null runtime as a tool: a fast clock, behaviour by option and label, reset by test suites."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import (
    Engine,
    container,
    describe,
    null,
    register,
    until,
    wait_rollout,
    wait_stopped,
)

QUARTER_S = 15 * 60
FAST = ("--time-scale", "600")  # a quarter of an hour in 1.5 s; stopped tasks are shown for 6 s
Start = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an engine with options; it is shut down after the test."""
    started: list[Engine] = []

    def begin(*options: str) -> Engine:
        started.append(Engine(tmp_path, "null", *options))
        return started[0]

    yield begin
    for engine in started:
        engine.shut_down()


def run(ecs: Any, family: str, **labels: object) -> dict[str, Any]:
    """Run a task with these labels to its end."""
    ecs.create_cluster(clusterName="c")
    register(ecs, family, container(dockerLabels=null(**labels)))
    task = ecs.run_task(cluster="c", taskDefinition=family)["tasks"][0]["taskArn"]
    return wait_stopped(ecs, "c", task)


def test_a_quarter_of_an_hour_passes_in_seconds(start: Start, family: str) -> None:
    ecs = start(*FAST).client("ecs")
    task = run(ecs, family, run_ms=QUARTER_S * 1000, exit=7)
    assert task["containers"][0]["exitCode"] == 7
    took = (task["stoppedAt"] - task["createdAt"]).total_seconds()
    assert took >= QUARTER_S


def test_fast_clock_never_goes_back(start: Start, family: str) -> None:
    engine = start(*FAST)
    before = run(engine.client("ecs"), family, run_ms=QUARTER_S * 1000)["stoppedAt"]
    engine.stop()
    engine.options = ()
    engine.start()
    ecs = engine.client("ecs")
    assert run(ecs, family, exit=0)["createdAt"] >= before
    assert before.timestamp() > time.time()


def test_deleted_task_definition_stays_while_something_needs_it(start: Start, family: str) -> None:
    ecs = start(*FAST).client("ecs")
    ecs.create_cluster(clusterName="c")
    used, unused = register(ecs, family), register(ecs, family)
    ecs.create_service(cluster="c", serviceName="web", taskDefinition=used, desiredCount=1)
    for arn in (used, unused):
        ecs.deregister_task_definition(taskDefinition=arn)
    ecs.delete_task_definitions(taskDefinitions=[used, unused])
    until(lambda: not is_known(ecs, unused))
    assert is_known(ecs, used)
    ecs.delete_service(cluster="c", service="web", force=True)
    until(lambda: not is_known(ecs, used))
    assert register(ecs, family).endswith(":3")


def is_known(ecs: Any, arn: str) -> bool:
    try:
        ecs.describe_task_definition(taskDefinition=arn)
    except ClientError:
        return False
    return True


def test_behaviour_is_told_once_for_all_containers(start: Start, family: str) -> None:
    ecs = start("--imagine", "exit=3", "--imagine", "run_ms=5").client("ecs")
    assert run(ecs, family)["containers"][0]["exitCode"] == 3
    assert run(ecs, family, exit=4)["containers"][0]["exitCode"] == 4


def test_health_by_label_holds_a_deployment_back(start: Start, family: str) -> None:
    ecs = start("--time-scale", "20").client("ecs")
    ecs.create_cluster(clusterName="c")
    check = {"command": ["CMD", "true"]}
    bad = container(dockerLabels=null(health="UNHEALTHY", health_ms=200), healthCheck=check)
    register(ecs, family, bad)
    ecs.create_service(cluster="c", serviceName="web", taskDefinition=family, desiredCount=1)
    until(lambda: describe(ecs, "c", "web")["deployments"][0]["failedTasks"] > 0)
    assert describe(ecs, "c", "web")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    register(ecs, family, container(dockerLabels=null(health_ms=200), healthCheck=check))
    ecs.update_service(cluster="c", service="web", taskDefinition=family)
    wait_rollout(ecs, "c", "web")


def test_what_ends_at_once_never_completes_a_deployment_however_fast_the_clock(
    start: Start, family: str
) -> None:
    ecs = start("--time-scale", "2000").client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, family, container(dockerLabels=null(exit=1)))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    ecs.create_service(
        cluster="c", serviceName="web", taskDefinition=family, desiredCount=12,
        deploymentConfiguration=breaker,
    )  # fmt: skip
    states = until(lambda: [s for s in rollout_states(ecs) if s != "IN_PROGRESS"])
    assert states == ["FAILED"]


def rollout_states(ecs: Any) -> list[str]:
    return [d["rolloutState"] for d in describe(ecs, "c", "web")["deployments"]]


@pytest.mark.parametrize(("label", "value"), [("run_ms", "soon"), ("nonsense", "1"), ("exit", "-")])
def test_label_that_cannot_be_is_why_the_container_does_not_start(
    ecs: Any, cluster: str, family: str, label: str, value: str
) -> None:
    register(ecs, family, container(dockerLabels=null(**{label: value})))
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    stopped = wait_stopped(ecs, cluster, task)
    assert f"label kaiun.null.{label}={value}" in stopped["stoppedReason"]


@pytest.mark.parametrize("path", ["/_kaiun/reset", "/moto-api/reset"])
def test_suite_empties_the_engine_where_it_was_allowed(
    start: Start, family: str, path: str
) -> None:
    engine = start("--allow-reset")
    ecs = engine.client("ecs")
    run(ecs, family, exit=0)
    assert post(engine, path) == 200
    assert ecs.list_clusters()["clusterArns"] == []
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []


def test_a_page_in_a_browser_may_not_reset(start: Start) -> None:
    engine = start("--allow-reset")
    assert post(engine, "/_kaiun/reset", {"Origin": "https://evil.example"}) == 403


def post(engine: Engine, path: str, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        connection.request("POST", path, b"", headers or {})
        return connection.getresponse().status
    finally:
        connection.close()
