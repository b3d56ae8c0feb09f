"""Task definitions, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import container, register


def test_ecs_defaults_are_filled_in(ecs: Any, family: str) -> None:
    health = {"command": ["CMD-SHELL", "true"]}
    arn = register(ecs, family, container(portMappings=[{"containerPort": 80}], healthCheck=health))
    found = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    web = found["containerDefinitions"][0]
    assert (found["status"], found["volumes"], found["placementConstraints"]) == ("ACTIVE", [], [])
    assert web["portMappings"] == [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]
    assert web["healthCheck"] == {**health, "interval": 30, "timeout": 5, "retries": 3}
    assert (web["cpu"], web["essential"]) == (0, True)
    assert [web[n] for n in ("environment", "mountPoints", "volumesFrom")] == [[], [], []]


def test_revisions_count_up_and_a_family_means_the_newest_active(ecs: Any, family: str) -> None:
    first, second = register(ecs, family), register(ecs, family)
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")
    ecs.deregister_task_definition(taskDefinition=second)
    found = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    assert found["taskDefinitionArn"] == first
    listed = ecs.list_task_definitions(familyPrefix=family, status="INACTIVE")
    assert listed["taskDefinitionArns"] == [second]


def test_task_definitions_are_listed_page_by_page(ecs: Any, family: str) -> None:
    arns = [register(ecs, family) for _ in range(5)]
    pages = ecs.get_paginator("list_task_definitions").paginate(
        familyPrefix=family, PaginationConfig={"PageSize": 2}
    )
    assert [arn for page in pages for arn in page["taskDefinitionArns"]] == arns


def after(name: str, condition: str) -> list[dict[str, str]]:
    return [{"containerName": name, "condition": condition}]


FARGATE = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc"}
FARGATE_SIZE = {**FARGATE, "cpu": "256", "memory": "512"}
BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "duplicate names": ([container(), container()], {}, "unique"),
    "no essential container": ([container(essential=False)], {}, "essential"),
    "environment file of no .env": (
        [container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.txt"}])],
        {},
        "environment file",
    ),
    "environment file that is no object": (
        [container(environmentFiles=[{"type": "s3", "value": "s3://b/a.env"}])],
        {},
        "environment file",
    ),
    "too many environment files": (
        [container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.env"}] * 11)],
        {},
        "more than 10",
    ),
    "restarts too often": (
        [container(restartPolicy={"enabled": True, "restartAttemptPeriod": 59})],
        {},
        "between 60 and 1800",
    ),
    "too many ignored exit codes": (
        [container(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(51))})],
        {},
        "at most 50",
    ),
    "no memory": ([{"name": "web", "image": "x"}], {}, "memory"),
    "unknown dependsOn": (
        [container(dependsOn=after("db", "START"))],
        {},
        "does not exist",
    ),
    "cycle": (
        [
            container("a", dependsOn=after("b", "START")),
            container("b", dependsOn=after("a", "START")),
        ],
        {},
        "a -> b -> a",
    ),
    "SUCCESS of an essential container": (
        [
            container("a"),
            container("b", dependsOn=[{"containerName": "a", "condition": "SUCCESS"}]),
        ],
        {},
        "essential",
    ),
    "HEALTHY without healthCheck": (
        [
            container("a"),
            container("b", dependsOn=[{"containerName": "a", "condition": "HEALTHY"}]),
        ],
        {},
        "health check",
    ),
    "port clash": (
        [
            container("a", portMappings=[{"containerPort": 80, "hostPort": 8080}]),
            container("b", portMappings=[{"containerPort": 81, "hostPort": 8080}]),
        ],
        {},
        "8080",
    ),
    "Fargate pair": ([container()], {**FARGATE, "cpu": "256", "memory": "4096"}, "Fargate"),
    "Fargate in bridge mode": (
        [container()],
        {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"},
        "awsvpc",
    ),
    "unknown volume": (
        [container(mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}])],
        {},
        "volume",
    ),
    "bad family": ([container()], {"family": "a b"}, "Family"),
    "link to nobody": ([container(links=["db"])], {}, "link"),
    "more cpu than the task": (
        [container("a", cpu=200), container("b", cpu=100)],
        {"cpu": "256", "memory": "512"},
        "sum of all container cpu",
    ),
    "more memory than the task": ([container(memory=513)], {"memory": "512"}, "task memory"),
    "reservations beyond the task": (
        [container("a", memory=300), container("b", memory=300)],
        {"memory": "512"},
        "sum of all container memory",
    ),
    "soft limit above the hard": (
        [container(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}])],
        {},
        "soft limit",
    ),
    "negative cpu": ([container(cpu=-1)], {}, "at least 0"),
    "Fargate with a path of the host": (
        [container()],
        {**FARGATE_SIZE, "volumes": [{"name": "a", "host": {"sourcePath": "/srv"}}]},
        "host.sourcePath",
    ),
    "Fargate with placement constraints": (
        [container()],
        {**FARGATE_SIZE, "placementConstraints": [{"type": "memberOf", "expression": "a == b"}]},
        "placement constraints",
    ),
    "Fargate with a foreign log driver": (
        [container(logConfiguration={"logDriver": "syslog"})],
        FARGATE_SIZE,
        "log driver",
    ),
    "Fargate with little storage": (
        [container()],
        {**FARGATE_SIZE, "ephemeralStorage": {"sizeInGiB": 20}},
        "ephemeralStorage",
    ),
    "Fargate that stops for long": ([container(stopTimeout=121)], FARGATE_SIZE, "stopTimeout"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_ecs_refuses_is_refused(ecs: Any, family: str, case: str) -> None:
    containers, fields, text = BAD[case]
    with pytest.raises(ClientError, match=text) as caught:
        ecs.register_task_definition(
            **{"family": family, "containerDefinitions": containers, **fields}
        )
    assert caught.value.response["Error"]["Code"] == "ClientException"
    assert not ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]


def test_fargate_sizes_are_kept_in_units(ecs: Any, family: str) -> None:
    arn = register(ecs, family, container(), **FARGATE, cpu="1 vCPU", memory="2 GB")
    found = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert (found["cpu"], found["memory"]) == ("1024", "2048")
    assert found["compatibilities"] == ["EC2", "FARGATE"]


def test_only_an_inactive_task_definition_is_deleted(ecs: Any, family: str) -> None:
    arn = register(ecs, family)
    assert ecs.delete_task_definitions(taskDefinitions=[arn])["failures"]
    ecs.deregister_task_definition(taskDefinition=arn)
    deleted = ecs.delete_task_definitions(taskDefinitions=[arn])["taskDefinitions"]
    assert [d["status"] for d in deleted] == ["DELETE_IN_PROGRESS"]


def test_tags_are_given_when_asked_for(ecs: Any, family: str) -> None:
    tags = [{"key": "kaiun:app", "value": "shop"}]
    arn = register(ecs, family, container(), tags=tags)
    assert "tags" not in ecs.describe_task_definition(taskDefinition=arn)
    assert ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])["tags"] == tags


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("", "Revision is missing"),
        (":new", "Invalid revision number"),
        (":9", "Unable to describe"),
    ],
)
def test_only_a_revision_that_is_there_is_deregistered(
    ecs: Any, family: str, suffix: str, text: str
) -> None:
    register(ecs, family)
    with pytest.raises(ClientError, match=text):
        ecs.deregister_task_definition(taskDefinition=family + suffix)


def test_constraint_that_cannot_be_understood_is_refused(ecs: Any, family: str) -> None:
    rule = {"type": "memberOf", "expression": "what?"}
    with pytest.raises(ClientError, match="cannot understand"):
        register(ecs, family, placementConstraints=[rule])
