"""ecs-deploy against the engine: deploy, rollback, scale, run, update, diff, cron."""

from __future__ import annotations

from typing import Any

import pytest
from support.ecsdeploy import ecs_deploy
from support.engine import Engine, container, describe, null, register, until, wait_rollout

CRASH = ("-d", "web", "kaiun.null.exit", "1")  # containers that end at once


@pytest.fixture
def service(ecs: Any, cluster: str, family: str) -> str:
    """A service of two tasks of `family`, revision 1, image shop:1."""
    register(ecs, family, container(image="shop:1"))
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=2)
    wait_rollout(ecs, cluster, "web")
    return "web"


def revision(ecs: Any, cluster: str) -> str:
    """Return the revision that the service is to run."""
    return str(describe(ecs, cluster, "web")["taskDefinition"]).rpartition(":")[2]


def status(ecs: Any, definition: str) -> str:
    found = ecs.describe_task_definition(taskDefinition=definition)
    return str(found["taskDefinition"]["status"])


def test_deploy_replaces_image_and_retires_the_old_revision(
    engine: Engine, ecs: Any, cluster: str, service: str, family: str
) -> None:
    code, said = ecs_deploy(engine, "deploy", cluster, service, "--tag", "2")
    assert (code, "Deployment successful" in said) == (0, True), said
    assert revision(ecs, cluster) == "2"
    wait_rollout(ecs, cluster, service)
    assert (status(ecs, f"{family}:1"), status(ecs, f"{family}:2")) == ("INACTIVE", "ACTIVE")


def test_bad_deploy_fails_and_leaves_the_old_tasks(
    engine: Engine, ecs: Any, cluster: str, service: str
) -> None:
    code, said = ecs_deploy(engine, "deploy", cluster, service, *CRASH, "--timeout", "3")
    assert (code, "Deployment failed" in said) == (1, True), said
    found = describe(ecs, cluster, service)
    assert (revision(ecs, cluster), found["runningCount"]) == ("2", 2)
    assert found["deployments"][1]["runningCount"] == 2


def test_bad_deploy_is_rolled_back_where_asked(
    engine: Engine, ecs: Any, cluster: str, service: str
) -> None:
    code, said = ecs_deploy(
        engine, "deploy", cluster, service, *CRASH, "--timeout", "3", "--rollback"
    )
    assert (code, "Rollback successful" in said) == (1, True), said
    assert revision(ecs, cluster) == "1"
    assert wait_rollout(ecs, cluster, service)["runningCount"] == 2


def test_circuit_breaker_has_rolled_back_before_it_times_out(
    engine: Engine, ecs: Any, cluster: str, service: str
) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    ecs.update_service(cluster=cluster, service=service, deploymentConfiguration=breaker)
    ecs_deploy(engine, "deploy", cluster, service, *CRASH, "--no-deregister")
    until(lambda: revision(ecs, cluster) == "1")
    assert wait_rollout(ecs, cluster, service)["runningCount"] == 2


def test_service_is_scaled(engine: Engine, ecs: Any, cluster: str, service: str) -> None:
    code, said = ecs_deploy(engine, "scale", cluster, service, "4")
    assert (code, "Scaling successful" in said) == (0, True), said
    assert describe(ecs, cluster, service)["runningCount"] == 4


def test_task_is_run_with_what_it_is_given(
    engine: Engine, ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family, container(dockerLabels=null(exit=7)))
    code, said = ecs_deploy(engine, "run", cluster, family, "2", "-e", "web", "COLOUR", "blue")
    assert (code, "Successfully started 2 instances" in said) == (0, True), said

    def codes() -> list[int]:
        arns = ecs.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return [t["containers"][0]["exitCode"] for t in tasks if t["lastStatus"] == "STOPPED"]

    until(lambda: codes() == [7, 7])


def test_task_definition_is_updated_and_compared(engine: Engine, ecs: Any, family: str) -> None:
    register(ecs, family, container(image="shop:1"))
    code, said = ecs_deploy(engine, "update", family, "-i", "web", "shop:2")
    assert (code, "Successfully created revision: 2" in said) == (0, True), said
    code, said = ecs_deploy(engine, "diff", family, "1", "2")
    assert code == 0
    assert '- "shop:1"' in said
    assert '+ "shop:2"' in said


def test_scheduled_task_gets_the_new_revision(
    engine: Engine, ecs: Any, cluster: str, family: str
) -> None:
    definition = register(ecs, family, container(image="shop:1"))
    events = engine.client("events")
    events.put_rule(Name=family, ScheduleExpression="rate(1 day)")
    role = "arn:aws:iam::000000000000:role/ecsEventsRole"
    target = {"Id": "1", "Arn": f"arn:aws:ecs:us-east-1:000000000000:cluster/{cluster}"}
    task = {"TaskDefinitionArn": definition, "TaskCount": 1}
    events.put_targets(Rule=family, Targets=[{**target, "RoleArn": role, "EcsParameters": task}])
    code, said = ecs_deploy(engine, "cron", cluster, family, family, "--tag", "2")
    assert code == 0, said
    (found,) = events.list_targets_by_rule(Rule=family)["Targets"]
    assert found["EcsParameters"]["TaskDefinitionArn"].endswith(f"{family}:2")
    events.remove_targets(Rule=family, Ids=["1"])
    events.delete_rule(Name=family)  # the engine is shared, and archives get nothing beside it
