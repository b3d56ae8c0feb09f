"""Services with the EXTERNAL controller: task sets made, scaled, shifted, taken down."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, describe, messages, register, until


@pytest.fixture
def service(ecs: Any, cluster: str) -> dict[str, str]:
    """The members that name an EXTERNAL service of four tasks."""
    make(ecs, cluster, desiredCount=4)
    return {"cluster": cluster, "service": "web"}


def make(ecs: Any, cluster: str, **members: Any) -> Any:
    return ecs.create_service(
        cluster=cluster,
        serviceName="web",
        deploymentController={"type": "EXTERNAL"},
        **members,
    )


def add(ecs: Any, service: dict[str, str], definition: str, percent: float, **more: Any) -> str:
    scale = {"value": percent, "unit": "PERCENT"}
    answer = ecs.create_task_set(**service, taskDefinition=definition, scale=scale, **more)
    return str(answer["taskSet"]["id"])


def look(ecs: Any, service: dict[str, str], *ids: str) -> list[dict[str, Any]]:
    answer = ecs.describe_task_sets(**service, taskSets=list(ids))
    found: list[dict[str, Any]] = answer["taskSets"]
    return found


def wait_steady(ecs: Any, service: dict[str, str], task_set: str, count: int) -> None:
    def steady() -> bool:
        (found,) = look(ecs, service, task_set)
        return (found["stabilityStatus"], found["runningCount"]) == ("STEADY_STATE", count)

    until(steady)


def test_task_set_runs_its_share_rounded_up(ecs: Any, service: dict[str, str], family: str) -> None:
    definition = register(ecs, family)
    task_set = add(ecs, service, definition, 55, externalId="build-7")
    wait_steady(ecs, service, task_set, 3)
    (found,) = look(ecs, service, task_set)
    assert (found["status"], found["computedDesiredCount"]) == ("ACTIVE", 3)
    assert (found["externalId"], found["launchType"]) == ("build-7", "EC2")
    seen = describe(ecs, **service)
    assert (seen["runningCount"], seen["desiredCount"], seen["deployments"]) == (3, 4, [])
    assert [s["id"] for s in seen["taskSets"]] == [task_set]
    tasks = ecs.list_tasks(cluster=service["cluster"], serviceName="web")["taskArns"]
    (started_by,) = {
        t["startedBy"] for t in ecs.describe_tasks(cluster=service["cluster"], tasks=tasks)["tasks"]
    }
    assert started_by == task_set
    assert f"(service web, taskSet {task_set}) has started 3 tasks" in messages(seen)[0]
    assert not [m for m in messages(seen) if "deployment" in m]


def test_controller_shifts_from_one_set_to_the_other(
    ecs: Any, service: dict[str, str], family: str
) -> None:
    old, new = register(ecs, family), register(ecs, family)
    blue = add(ecs, service, old, 100)
    ecs.update_service_primary_task_set(**service, primaryTaskSet=blue)
    wait_steady(ecs, service, blue, 4)
    green = add(ecs, service, new, 0)
    ecs.update_task_set(**service, taskSet=green, scale={"value": 100, "unit": "PERCENT"})
    wait_steady(ecs, service, green, 4)
    ecs.update_service_primary_task_set(**service, primaryTaskSet=green)
    assert {s["id"]: s["status"] for s in look(ecs, service)} == {blue: "ACTIVE", green: "PRIMARY"}
    assert describe(ecs, **service)["taskDefinition"] == new
    with pytest.raises(ClientError, match="scaled above 0"):
        ecs.delete_task_set(**service, taskSet=blue)
    gone = ecs.delete_task_set(**service, taskSet=blue, force=True)["taskSet"]
    assert gone["status"] == "DRAINING"
    until(lambda: [s["id"] for s in look(ecs, service)] == [green])
    assert describe(ecs, **service)["runningCount"] == 4


def test_sets_follow_the_desired_count_of_their_service(
    ecs: Any, service: dict[str, str], family: str
) -> None:
    task_set = add(ecs, service, register(ecs, family), 50)
    wait_steady(ecs, service, task_set, 2)
    ecs.update_service(**service, desiredCount=10)
    wait_steady(ecs, service, task_set, 5)


def test_service_is_deleted_with_its_sets_by_force(
    ecs: Any, service: dict[str, str], family: str
) -> None:
    wait_steady(ecs, service, add(ecs, service, register(ecs, family), 100), 4)
    with pytest.raises(ClientError, match="while it has task sets"):
        ecs.delete_service(**service)
    assert ecs.delete_service(**service, force=True)["service"]["status"] == "DRAINING"
    until(lambda: describe(ecs, **service)["status"] == "INACTIVE")
    assert ecs.list_tasks(cluster=service["cluster"])["taskArns"] == []
    assert make(ecs, service["cluster"])["service"]["status"] == "ACTIVE"


def test_what_belongs_to_task_sets_is_refused_of_the_service(
    ecs: Any, service: dict[str, str], cluster: str, family: str
) -> None:
    definition = register(ecs, family)
    with pytest.raises(ClientError, match="networkConfiguration cannot be specified"):
        ecs.create_service(
            cluster=cluster,
            serviceName="other",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            deploymentController={"type": "EXTERNAL"},
        )
    with pytest.raises(ClientError, match="Unable to update taskDefinition"):
        ecs.update_service(**service, taskDefinition=definition)


def test_only_external_services_have_task_sets(ecs: Any, cluster: str, family: str) -> None:
    definition = register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="own", taskDefinition=family, desiredCount=0)
    with pytest.raises(ClientError, match="is not EXTERNAL"):
        ecs.create_task_set(cluster=cluster, service="own", taskDefinition=definition)


def test_at_most_five_sets_and_a_token_makes_one(
    ecs: Any, service: dict[str, str], family: str
) -> None:
    definition = register(ecs, family)
    ids = {add(ecs, service, definition, 0, clientToken="once") for _ in range(2)}
    assert len(ids) == 1
    for _ in range(4):
        add(ecs, service, definition, 0)
    with pytest.raises(ClientError, match="LimitExceededException"):
        add(ecs, service, definition, 0)
    with pytest.raises(ClientError, match="TaskSetNotFoundException"):
        ecs.delete_task_set(**service, taskSet="nothing")
    assert ecs.describe_task_sets(**service, taskSets=["nothing"])["failures"]


def test_task_sets_have_tags(ecs: Any, service: dict[str, str], family: str) -> None:
    tag = {"key": "team", "value": "a"}
    task_set = add(ecs, service, register(ecs, family), 0, tags=[tag])
    arn = look(ecs, service, task_set)[0]["taskSetArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "1"}])
    found = ecs.describe_task_sets(**service, include=["TAGS"])["taskSets"][0]
    assert found["tags"] == [tag, {"key": "b", "value": "1"}]


def test_killed_engine_goes_on_with_task_sets(own_engine: Engine, family: str) -> None:
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    make(ecs, "c", desiredCount=3)
    service = {"cluster": "c", "service": "web"}
    task_set = add(ecs, service, register(ecs, family), 100)
    wait_steady(ecs, service, task_set, 3)
    tasks = ecs.list_tasks(cluster="c")["taskArns"]
    own_engine.kill()
    own_engine.start()
    ecs = own_engine.client("ecs")
    wait_steady(ecs, service, task_set, 3)
    assert sorted(ecs.list_tasks(cluster="c")["taskArns"]) == sorted(tasks)
