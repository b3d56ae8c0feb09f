"""Services roll, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import (
    Engine,
    container,
    describe,
    messages,
    null,
    register,
    until,
    wait_rollout,
    wait_stopped,
)

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def create(ecs: Any, cluster: str, family: str, count: int = 2, **fields: Any) -> None:
    ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=count, **fields
    )


def test_service_reaches_a_steady_state(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    create(ecs, cluster, family, 3)
    service = wait_rollout(ecs, cluster, "web")
    said = messages(service)
    assert said[0].startswith("(service web) has started 3 tasks: (task ")
    assert said[-1] == "(service web) has reached a steady state."
    deployment = service["deployments"][0]
    assert (deployment["status"], deployment["runningCount"]) == ("PRIMARY", 3)
    ecs.get_waiter("services_stable").wait(
        cluster=cluster, services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )


def test_update_replaces_every_task(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    create(ecs, cluster, family)
    wait_rollout(ecs, cluster, "web")
    old = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    second = register(ecs, family)
    answer = ecs.update_service(cluster=cluster, service="web", taskDefinition=second)
    assert [d["status"] for d in answer["service"]["deployments"]] == ["PRIMARY", "ACTIVE"]
    service = wait_rollout(ecs, cluster, "web")
    assert service["taskDefinition"] == second
    new = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    assert len(new) == 2
    assert not set(old) & set(new)
    task = wait_stopped(ecs, cluster, old[0])
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    assert task["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/")
    assert task["containers"][0]["exitCode"] == 143


def test_unchanged_update_makes_no_deployment_and_force_makes_one(
    ecs: Any, cluster: str, family: str
) -> None:
    arn = register(ecs, family)
    create(ecs, cluster, family)
    first = wait_rollout(ecs, cluster, "web")["deployments"][0]["id"]
    same = ecs.update_service(cluster=cluster, service="web", taskDefinition=arn)["service"]
    assert [d["id"] for d in same["deployments"]] == [first]
    ecs.update_service(cluster=cluster, service="web", forceNewDeployment=True)
    assert wait_rollout(ecs, cluster, "web")["deployments"][0]["id"] != first


def test_breaker_rolls_a_failing_deployment_back(ecs: Any, cluster: str, family: str) -> None:
    good = register(ecs, family)
    create(ecs, cluster, family, deploymentConfiguration=BREAKER)
    wait_rollout(ecs, cluster, "web")
    bad = register(ecs, family, container(dockerLabels=null(exit=1)))
    answer = ecs.update_service(cluster=cluster, service="web", taskDefinition=bad)
    failing = answer["service"]["deployments"][0]["id"]
    arn = answer["service"]["currentServiceDeployment"]

    def ended() -> dict[str, Any] | None:
        found = ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        deployment: dict[str, Any] = found["serviceDeployments"][0]
        return deployment if deployment["status"] == "ROLLBACK_SUCCESSFUL" else None

    deployment = until(ended)
    assert deployment is not None
    assert deployment["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    service = wait_rollout(ecs, cluster, "web")
    assert service["taskDefinition"] == good
    said = messages(service)
    assert f"(service web) (deployment {failing}) deployment failed: tasks failed to start." in said
    assert any("rolling back to deployment" in line for line in said)


def test_breaker_with_nothing_to_go_back_to_fails(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(dockerLabels=null(pull_error="no such image")))
    create(ecs, cluster, family, deploymentConfiguration=BREAKER)
    service = wait_rollout(ecs, cluster, "web", "FAILED")
    assert service["deployments"][0]["rolloutStateReason"] == (
        "ECS deployment circuit breaker: tasks failed to start."
    )
    stopped = ecs.list_tasks(cluster=cluster, serviceName="web", desiredStatus="STOPPED")
    task = ecs.describe_tasks(cluster=cluster, tasks=stopped["taskArns"][:1])["tasks"][0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == "CannotPullContainerError: no such image"


def test_failing_health_check_never_completes(ecs: Any, cluster: str, family: str) -> None:
    check = {"command": ["CMD", "true"]}
    register(ecs, family, container(healthCheck=check, dockerLabels=null(health="UNHEALTHY")))
    create(ecs, cluster, family, 1, deploymentConfiguration=BREAKER)
    service = wait_rollout(ecs, cluster, "web", "FAILED")
    assert service["deployments"][0]["failedTasks"] >= 3


def test_scaling_changes_counts_without_a_deployment(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    create(ecs, cluster, family, 1)
    first = wait_rollout(ecs, cluster, "web")["deployments"][0]["id"]
    ecs.update_service(cluster=cluster, service="web", desiredCount=4)
    until(lambda: describe(ecs, cluster, "web")["runningCount"] == 4)
    ecs.update_service(cluster=cluster, service="web", desiredCount=0)
    until(lambda: describe(ecs, cluster, "web")["runningCount"] == 0)
    assert [d["id"] for d in describe(ecs, cluster, "web")["deployments"]] == [first]


def test_service_that_drains_is_out_of_sight_and_keeps_its_name(
    ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family, container(dockerLabels=null(stop_ms=2000)))
    create(ecs, cluster, family, 1)
    wait_rollout(ecs, cluster, "web")
    names = {"cluster": cluster, "service": "web"}
    ecs.delete_service(**names, force=True)
    assert describe(ecs, cluster, "web")["status"] == "DRAINING"
    assert ecs.list_services(cluster=cluster)["serviceArns"] == []
    with pytest.raises(ClientError, match=r"InvalidParameterException.*still Draining"):
        create(ecs, cluster, family, 1)
    with pytest.raises(ClientError, match="ServiceNotActiveException"):
        ecs.update_service(**names, forceNewDeployment=True)
    until(lambda: describe(ecs, cluster, "web")["status"] == "INACTIVE")
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        ecs.delete_service(**names)


def test_deleted_service_drains_and_can_be_made_again(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    create(ecs, cluster, family)
    with pytest.raises(ClientError, match="scaled above 0"):
        ecs.delete_service(cluster=cluster, service="web")
    ecs.delete_service(cluster=cluster, service="web", force=True)
    ecs.get_waiter("services_inactive").wait(
        cluster=cluster, services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    assert ecs.list_services(cluster=cluster)["serviceArns"] == []
    with pytest.raises(ClientError, match="ServiceNotActiveException"):
        ecs.update_service(cluster=cluster, service="web", desiredCount=1)
    create(ecs, cluster, family, 1)
    assert wait_rollout(ecs, cluster, "web")["runningCount"] == 1


def test_creating_twice_is_idempotent_or_refused(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    create(ecs, cluster, family, 0)
    create(ecs, cluster, family, 0)
    with pytest.raises(ClientError, match="not idempotent"):
        create(ecs, cluster, family, 1)


def test_inactive_task_definition_is_refused(ecs: Any, cluster: str, family: str) -> None:
    arn = register(ecs, family)
    ecs.deregister_task_definition(taskDefinition=arn)
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        create(ecs, cluster, arn)


def test_missing_services_are_failures(ecs: Any, cluster: str) -> None:
    answer = ecs.describe_services(cluster=cluster, services=["nobody"])
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    assert answer["failures"][0]["arn"].endswith(f"service/{cluster}/nobody")


def test_services_are_listed_page_by_page(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    for number in range(12):
        ecs.create_service(
            cluster=cluster, serviceName=f"s{number}", taskDefinition=family, desiredCount=0
        )
    assert len(ecs.list_services(cluster=cluster)["serviceArns"]) == 10
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    assert len([arn for page in pages for arn in page["serviceArns"]]) == 12


def test_stopped_service_deployment_rolls_back(ecs: Any, cluster: str, family: str) -> None:
    good = register(ecs, family)
    create(ecs, cluster, family)
    wait_rollout(ecs, cluster, "web")
    slow = register(ecs, family, container(dockerLabels=null(start_ms=60000)))
    answer = ecs.update_service(cluster=cluster, service="web", taskDefinition=slow)["service"]
    ecs.stop_service_deployment(serviceDeploymentArn=answer["currentServiceDeployment"])
    assert until(lambda: describe(ecs, cluster, "web")["taskDefinition"] == good)


def test_lost_container_is_replaced(own_engine: Engine, family: str) -> None:
    import sqlite3

    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, family)
    create(ecs, "c", family)
    wait_rollout(ecs, "c", "web")
    before = set(ecs.list_tasks(cluster="c")["taskArns"])
    own_engine.kill()
    with sqlite3.connect(own_engine.home / "null.db") as db:
        db.execute("DELETE FROM box WHERE id = (SELECT min(id) FROM box)")
    own_engine.start()
    ecs = own_engine.client("ecs")
    after = until(lambda: _two_others(ecs, before))
    assert after is not None
    assert len(after & before) == 1


def _two_others(ecs: Any, before: set[str]) -> set[str] | None:
    now = set(ecs.list_tasks(cluster="c")["taskArns"])
    running = describe(ecs, "c", "web")["runningCount"]
    return now if now != before and len(now) == 2 and running == 2 else None


def test_services_are_listed_by_the_namespace_of_service_connect(
    ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family)
    arns = {}
    for name, connect in (
        ("a", {"enabled": True, "namespace": f"space-{cluster}"}),
        ("b", {"enabled": True, "namespace": "other"}),
        ("c", {"enabled": False}),
    ):
        arns[name] = ecs.create_service(
            cluster=cluster,
            serviceName=name,
            taskDefinition=family,
            desiredCount=0,
            serviceConnectConfiguration=connect,
        )["service"]["serviceArn"]
    found = ecs.list_services_by_namespace(namespace=f"space-{cluster}")["serviceArns"]
    assert found == [arns["a"]]
    with pytest.raises(ClientError, match="NamespaceNotFoundException"):
        ecs.list_services_by_namespace(namespace="nowhere")


def test_service_connect_names_a_port_of_the_task_definition(
    ecs: Any, cluster: str, family: str
) -> None:
    named = {"containerPort": 80, "name": "http"}
    register(ecs, family, container(portMappings=[named]))

    def create(port_name: str) -> Any:
        connect = {"enabled": True, "services": [{"portName": port_name}]}
        return ecs.create_service(
            cluster=cluster,
            serviceName="web",
            taskDefinition=family,
            desiredCount=0,
            serviceConnectConfiguration=connect,
        )

    with pytest.raises(ClientError, match=r"portName\(ftp\) does not refer to any named"):
        create("ftp")
    assert create("http")["service"]["status"] == "ACTIVE"


def test_tasks_have_the_tags_that_ecs_manages(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    tag = {"key": "team", "value": "a"}
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        tags=[tag],
        propagateTags="SERVICE",
        enableECSManagedTags=True,
    )
    wait_rollout(ecs, cluster, "web")
    arns = ecs.list_tasks(cluster=cluster)["taskArns"]
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=arns, include=["TAGS"])["tasks"]
    assert {t["key"]: t["value"] for t in task["tags"]} == {
        "team": "a",
        "aws:ecs:clusterName": cluster,
        "aws:ecs:serviceName": "web",
    }
