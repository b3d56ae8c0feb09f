"""One story told with the aws command line alone, unmodified: from an empty cluster and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.awscli import aws
from support.engine import Engine, container, null, until

Run = Callable[..., Any]
BREAKER = "deploymentCircuitBreaker={enable=true,rollback=true}"


@pytest.fixture
def ecs_cli(engine: Engine) -> Run:
    """Return `aws ecs …` against the engine."""
    return lambda *words: aws(engine, "ecs", *words)


def define(run: Run, family: str, **labels: object) -> str:
    own = json.dumps([container(dockerLabels=null(**labels))])
    answer = run("register-task-definition", "--family", family, "--container-definitions", own)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def test_a_service_lives_deploys_goes_back_scales_and_ends(ecs_cli: Run, family: str) -> None:
    cluster = f"story-{family}"
    ecs_cli("create-cluster", "--cluster-name", cluster)
    web = ("--cluster", cluster, "--service", "web")
    good = define(ecs_cli, family)
    ecs_cli(
        "create-service", "--cluster", cluster, "--service-name", "web", "--task-definition", good,
        "--desired-count", "2", "--deployment-configuration", BREAKER,
    )  # fmt: skip

    def look() -> dict[str, Any]:
        answer = ecs_cli("describe-services", "--cluster", cluster, "--services", "web")
        found: dict[str, Any] = answer["services"][0]
        return found

    ecs_cli("wait", "services-stable", "--cluster", cluster, "--services", "web")
    assert look()["runningCount"] == 2

    bad = define(ecs_cli, family, exit=1)
    ecs_cli("update-service", *web, "--task-definition", bad)

    def rolled_back() -> bool:
        found = look()
        one = [d["rolloutState"] for d in found["deployments"]] == ["COMPLETED"]
        return one and bool(found["taskDefinition"] == good)

    until(rolled_back)
    messages = [event["message"] for event in look()["events"]]
    assert any("deployment failed: tasks failed to start" in m for m in messages)
    (failed, _first) = ecs_cli("list-service-deployments", *web)["serviceDeployments"]
    assert failed["status"] == "ROLLBACK_SUCCESSFUL"

    ecs_cli("update-service", *web, "--desired-count", "4")
    until(lambda: look()["runningCount"] == 4)
    ecs_cli("delete-service", *web, "--force")
    ecs_cli("wait", "services-inactive", "--cluster", cluster, "--services", "web")
    ecs_cli("delete-cluster", "--cluster", cluster)
    (gone,) = ecs_cli("describe-clusters", "--clusters", cluster)["clusters"]
    assert gone["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({"exit": 0}, 0),
        ({"exit": 7, "run_ms": 100}, 7),
        ({"oom": 1, "run_ms": 100}, 137),
    ],
)
def test_exit_codes_come_through(
    ecs_cli: Run, cluster: str, family: str, labels: dict[str, object], code: int
) -> None:
    ran = ecs_cli("run-task", "--cluster", cluster, "--task-definition",
                  define(ecs_cli, family, **labels))  # fmt: skip
    task = ran["tasks"][0]["taskArn"]
    ecs_cli("wait", "tasks-stopped", "--cluster", cluster, "--tasks", task)
    (found,) = ecs_cli("describe-tasks", "--cluster", cluster, "--tasks", task)["tasks"]
    assert (found["containers"][0]["exitCode"], found["stopCode"]) == (
        code,
        "EssentialContainerExited",
    )


def test_task_that_outlives_its_stop_timeout_is_killed(
    ecs_cli: Run, cluster: str, family: str
) -> None:
    own = json.dumps([container(dockerLabels=null(stop_ms=60_000), stopTimeout=1)])
    answer = ecs_cli("register-task-definition", "--family", family,
                     "--container-definitions", own)  # fmt: skip
    definition = answer["taskDefinition"]["taskDefinitionArn"]
    ran = ecs_cli("run-task", "--cluster", cluster, "--task-definition", definition)
    task = ran["tasks"][0]["taskArn"]
    ecs_cli("wait", "tasks-running", "--cluster", cluster, "--tasks", task)
    ecs_cli("stop-task", "--cluster", cluster, "--task", task, "--reason", "enough")
    ecs_cli("wait", "tasks-stopped", "--cluster", cluster, "--tasks", task)
    (found,) = ecs_cli("describe-tasks", "--cluster", cluster, "--tasks", task)["tasks"]
    assert (found["containers"][0]["exitCode"], found["stopCode"], found["stoppedReason"]) == (
        137, "UserInitiated", "enough",
    )  # fmt: skip
