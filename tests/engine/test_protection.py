"""Task scale-in protection: what it keeps, for how long, for whom."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import describe, register, until, wait_rollout


def serve(ecs: Any, cluster: str, family: str, count: int) -> list[str]:
    register(ecs, family)
    ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=count
    )
    wait_rollout(ecs, cluster, "web")
    return tasks_of(ecs, cluster)


def tasks_of(ecs: Any, cluster: str) -> list[str]:
    arns: list[str] = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    return sorted(arns)


def protect(ecs: Any, cluster: str, tasks: list[str], *, on: bool = True, **members: Any) -> Any:
    return ecs.update_task_protection(cluster=cluster, tasks=tasks, protectionEnabled=on, **members)


def test_scale_in_leaves_protected_tasks_alone(ecs: Any, cluster: str, family: str) -> None:
    tasks = serve(ecs, cluster, family, 4)
    kept = tasks[:2]
    protect(ecs, cluster, kept)
    ecs.update_service(cluster=cluster, service="web", desiredCount=1)
    until(lambda: describe(ecs, cluster, "web")["runningCount"] == 2)
    assert tasks_of(ecs, cluster) == kept
    protect(ecs, cluster, kept, on=False)
    until(lambda: describe(ecs, cluster, "web")["runningCount"] == 1)


def test_deployment_waits_for_a_protected_task(ecs: Any, cluster: str, family: str) -> None:
    (task,) = serve(ecs, cluster, family, 1)
    protect(ecs, cluster, [task], expiresInMinutes=1)
    newer = register(ecs, family)
    ecs.update_service(cluster=cluster, service="web", taskDefinition=newer)
    until(lambda: describe(ecs, cluster, "web")["runningCount"] == 2)
    assert task in tasks_of(ecs, cluster)
    assert describe(ecs, cluster, "web")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    protect(ecs, cluster, [task], on=False)
    wait_rollout(ecs, cluster, "web")
    assert task not in tasks_of(ecs, cluster)


def test_protection_is_shown_with_its_end(ecs: Any, cluster: str, family: str) -> None:
    (task,) = serve(ecs, cluster, family, 1)
    protect(ecs, cluster, [task])
    (shown,) = ecs.get_task_protection(cluster=cluster)["protectedTasks"]
    assert (shown["taskArn"], shown["protectionEnabled"]) == (task, True)
    protect(ecs, cluster, [task], on=False)
    (shown,) = ecs.get_task_protection(cluster=cluster, tasks=[task])["protectedTasks"]
    assert shown == {"taskArn": task, "protectionEnabled": False}


def test_only_tasks_of_services_can_be_protected(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    alone = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    answer = protect(ecs, cluster, [alone, "nobody"])
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]


@pytest.mark.parametrize("minutes", [0, 2881])
def test_end_must_be_within_two_days(ecs: Any, cluster: str, minutes: int) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        protect(ecs, cluster, ["x"], expiresInMinutes=minutes)
