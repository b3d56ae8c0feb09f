"""The aws command line, which nobody here wrote, against the engine."""

from __future__ import annotations

from typing import Any

from support.awscli import aws
from support.engine import Engine, container, null, register


def test_clusters_services_waiters_and_tasks(
    engine: Engine, ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family)
    assert any(cluster in arn for arn in aws(engine, "ecs", "list-clusters")["clusterArns"])
    aws(
        engine, "ecs", "create-service", "--cluster", cluster, "--service-name", "web",
        "--task-definition", family, "--desired-count", "2",
    )  # fmt: skip
    aws(engine, "ecs", "wait", "services-stable", "--cluster", cluster, "--services", "web")
    answer = aws(
        engine, "ecs", "describe-services", "--cluster", cluster, "--services", "web"
    )  # fmt: skip
    assert answer["services"][0]["runningCount"] == 2


def test_exit_code_of_a_task_is_read(engine: Engine, ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(dockerLabels=null(exit=7)))
    ran = aws(engine, "ecs", "run-task", "--cluster", cluster, "--task-definition", family)
    task = ran["tasks"][0]["taskArn"]
    aws(engine, "ecs", "wait", "tasks-stopped", "--cluster", cluster, "--tasks", task)
    found = aws(engine, "ecs", "describe-tasks", "--cluster", cluster, "--tasks", task)
    assert found["tasks"][0]["containers"][0]["exitCode"] == 7


def test_load_balancers_are_described(engine: Engine) -> None:
    assert "LoadBalancers" in aws(engine, "elbv2", "describe-load-balancers")
