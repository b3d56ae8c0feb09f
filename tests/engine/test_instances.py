"""Declared container instances, where tasks are put, attributes, DAEMON services."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import container, describe, register, until, wait_rollout, wait_stopped


def declare(ecs: Any, cluster: str, cpu: int = 2048, memory: int = 4096, zone: str = "a") -> str:
    """Declare an instance; return its ARN."""
    answer = ecs.register_container_instance(
        cluster=cluster,
        instanceIdentityDocument=json.dumps(
            {"instanceId": "i-0123", "instanceType": "t3.small", "availabilityZone": f"eu-1{zone}"}
        ),
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        ],
        attributes=[{"name": "stack", "value": "prod"}],
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


def take_machine_out(ecs: Any, cluster: str) -> None:
    for arn in ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]:
        ecs.deregister_container_instance(cluster=cluster, containerInstance=arn)


def look(ecs: Any, cluster: str, arn: str) -> dict[str, Any]:
    answer = ecs.describe_container_instances(cluster=cluster, containerInstances=[arn])
    found: dict[str, Any] = answer["containerInstances"][0]
    return found


def places(ecs: Any, cluster: str, service: str) -> Counter[str]:
    """Return how many tasks of a service each instance has."""
    arns = ecs.list_tasks(cluster=cluster, serviceName=service)["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return Counter(task["containerInstanceArn"] for task in tasks)


def left(ecs: Any, cluster: str, arn: str) -> dict[str, int]:
    resources = look(ecs, cluster, arn)["remainingResources"]
    return {r["name"]: r["integerValue"] for r in resources if r["type"] == "INTEGER"}


def test_declared_instance_is_described_as_it_was_registered(ecs: Any, cluster: str) -> None:
    arn = declare(ecs, cluster, 2048, 4096, "b")
    found = look(ecs, cluster, arn)
    attributes = {a["name"]: a.get("value") for a in found["attributes"]}
    assert (found["status"], found["ec2InstanceId"]) == ("ACTIVE", "i-0123")
    assert left(ecs, cluster, arn) == {"CPU": 2048, "MEMORY": 4096}
    assert attributes["ecs.availability-zone"] == "eu-1b"
    assert attributes["stack"] == "prod"
    count = ecs.describe_clusters(clusters=[cluster])["clusters"][0]
    assert count["registeredContainerInstancesCount"] == 2


def test_instance_registers_again_under_its_own_arn(ecs: Any, cluster: str) -> None:
    arn = declare(ecs, cluster)
    again = ecs.register_container_instance(
        cluster=cluster, containerInstanceArn=arn, versionInfo={"agentVersion": "9.9"}
    )["containerInstance"]
    assert (again["containerInstanceArn"], again["version"]) == (arn, 2)
    assert again["versionInfo"]["agentVersion"] == "9.9"


def test_resources_without_an_amount_are_refused(ecs: Any, cluster: str) -> None:
    with pytest.raises(ClientError, match="totalResources must have a positive CPU"):
        declare(ecs, cluster, cpu=0)


def test_instance_that_does_not_say_what_it_has_has_the_usual(ecs: Any, cluster: str) -> None:
    instance = ecs.register_container_instance(cluster=cluster)["containerInstance"]
    resources = {r["name"]: r for r in instance["registeredResources"]}
    assert resources["CPU"]["integerValue"] == 4096
    assert "22" in resources["PORTS"]["stringSetValue"]


def test_service_spreads_over_zones_then_instances(ecs: Any, cluster: str, family: str) -> None:
    take_machine_out(ecs, cluster)
    arns = [declare(ecs, cluster, zone=zone) for zone in ("a", "a", "b")]
    register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=4)
    wait_rollout(ecs, cluster, "web")
    assert places(ecs, cluster, "web") == {arns[0]: 1, arns[1]: 1, arns[2]: 2}


def test_binpack_fills_one_instance_before_the_next(ecs: Any, cluster: str, family: str) -> None:
    take_machine_out(ecs, cluster)
    for _ in range(2):
        declare(ecs, cluster, memory=200)
    register(ecs, family, container(memory=64))
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=4,
        placementStrategy=[{"type": "binpack", "field": "memory"}],
    )
    wait_rollout(ecs, cluster, "web")
    assert sorted(places(ecs, cluster, "web").values()) == [1, 3]


def test_member_of_and_distinct_instance_hold(ecs: Any, cluster: str, family: str) -> None:
    arn = declare(ecs, cluster)
    register(ecs, family)
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=2,
        placementConstraints=[
            {"type": "memberOf", "expression": "attribute:stack == prod"},
            {"type": "distinctInstance"},
        ],
    )
    until(lambda: places(ecs, cluster, "web") == {arn: 1})
    until(lambda: any("unable to place" in e["message"] for e in _events(ecs, cluster)))
    other = declare(ecs, cluster)
    ecs.update_service(cluster=cluster, service="web", desiredCount=2)
    wait_rollout(ecs, cluster, "web")
    assert places(ecs, cluster, "web") == {arn: 1, other: 1}


def _events(ecs: Any, cluster: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = describe(ecs, cluster, "web")["events"]
    return events


def test_constraint_of_the_task_definition_holds(ecs: Any, cluster: str, family: str) -> None:
    arn = declare(ecs, cluster)
    rule = {"type": "memberOf", "expression": "attribute:stack == prod"}
    register(ecs, family, placementConstraints=[rule])
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]
    assert task["containerInstanceArn"] == arn


def test_task_that_fits_nowhere_is_a_failure_that_says_why(
    ecs: Any, cluster: str, family: str
) -> None:
    take_machine_out(ecs, cluster)
    arn = declare(ecs, cluster, memory=100)
    register(ecs, family, container(memory=64))
    answer = ecs.run_task(cluster=cluster, taskDefinition=family, count=2)
    assert len(answer["tasks"]) == 1
    assert answer["failures"] == [{"arn": arn, "reason": "RESOURCE:MEMORY"}]
    assert left(ecs, cluster, arn)["MEMORY"] == 36


def test_cluster_without_instances_runs_no_task(ecs: Any, cluster: str, family: str) -> None:
    take_machine_out(ecs, cluster)
    register(ecs, family)
    with pytest.raises(ClientError, match="No Container Instances were found in your cluster"):
        ecs.run_task(cluster=cluster, taskDefinition=family)


def test_start_task_puts_it_where_it_is_told(ecs: Any, cluster: str, family: str) -> None:
    arn = declare(ecs, cluster)
    register(ecs, family)
    answer = ecs.start_task(
        cluster=cluster, taskDefinition=family, containerInstances=[arn, "nowhere"]
    )
    assert [t["containerInstanceArn"] for t in answer["tasks"]] == [arn]
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    listed = ecs.list_tasks(cluster=cluster, containerInstance=arn)["taskArns"]
    assert listed == [answer["tasks"][0]["taskArn"]]


def test_stopped_task_gives_its_room_back(ecs: Any, cluster: str, family: str) -> None:
    arn = declare(ecs, cluster, memory=100)
    register(ecs, family, container(memory=64))
    started = ecs.start_task(cluster=cluster, taskDefinition=family, containerInstances=[arn])
    task = started["tasks"][0]["taskArn"]
    ecs.stop_task(cluster=cluster, task=task)
    wait_stopped(ecs, cluster, task)
    assert left(ecs, cluster, arn)["MEMORY"] == 100


def test_drained_instance_hands_its_tasks_over(ecs: Any, cluster: str, family: str) -> None:
    take_machine_out(ecs, cluster)
    arns = [declare(ecs, cluster) for _ in range(2)]
    register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=4)
    wait_rollout(ecs, cluster, "web")
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[arns[0]], status="DRAINING"
    )
    until(lambda: places(ecs, cluster, "web") == {arns[1]: 4})


def test_instance_with_tasks_is_deregistered_only_by_force(
    ecs: Any, cluster: str, family: str
) -> None:
    take_machine_out(ecs, cluster)
    arns = [declare(ecs, cluster) for _ in range(2)]
    register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=2)
    wait_rollout(ecs, cluster, "web")
    with pytest.raises(ClientError, match="Found running tasks on the instance"):
        ecs.deregister_container_instance(cluster=cluster, containerInstance=arns[0])
    gone = ecs.deregister_container_instance(
        cluster=cluster, containerInstance=arns[0], force=True
    )["containerInstance"]
    assert (gone["status"], gone["agentConnected"]) == ("INACTIVE", False)
    until(lambda: places(ecs, cluster, "web") == {arns[1]: 2})
    assert ecs.list_container_instances(cluster=cluster)["containerInstanceArns"] == [arns[1]]


def test_daemon_has_one_task_on_each_instance(ecs: Any, cluster: str, family: str) -> None:
    take_machine_out(ecs, cluster)
    first = declare(ecs, cluster)
    register(ecs, family)
    ecs.create_service(
        cluster=cluster, serviceName="agent", taskDefinition=family, schedulingStrategy="DAEMON"
    )
    until(lambda: places(ecs, cluster, "agent") == {first: 1})
    second = declare(ecs, cluster)
    until(lambda: places(ecs, cluster, "agent") == {first: 1, second: 1})
    newer = register(ecs, family)
    ecs.update_service(cluster=cluster, service="agent", taskDefinition=newer)
    wait_rollout(ecs, cluster, "agent")
    assert places(ecs, cluster, "agent") == {first: 1, second: 1}
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[first], status="DRAINING"
    )
    until(lambda: places(ecs, cluster, "agent") == {second: 1})
    assert describe(ecs, cluster, "agent")["desiredCount"] == 1


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"desiredCount": 2}, "does not support a desired count"),
        ({"deploymentConfiguration": {"maximumPercent": 200}}, "values above 100"),
        ({"placementStrategy": [{"type": "random"}]}, "placement strategy"),
    ],
)
def test_daemon_refuses_what_is_for_replicas(
    ecs: Any, cluster: str, family: str, members: dict[str, Any], said: str
) -> None:
    register(ecs, family)
    call = {"cluster": cluster, "taskDefinition": family}
    daemon = {"serviceName": "agent", "schedulingStrategy": "DAEMON"}
    with pytest.raises(ClientError, match=rf"InvalidParameterException.*{said}"):
        ecs.create_service(**call, **daemon, **members)
    ecs.create_service(**call, **daemon)
    with pytest.raises(ClientError, match=rf"InvalidParameterException.*{said}"):
        ecs.update_service(**call, service="agent", **members)


def test_instances_are_filtered_by_query_and_status(ecs: Any, cluster: str) -> None:
    arn = declare(ecs, cluster)

    def listed(**members: Any) -> list[str]:
        answer = ecs.list_container_instances(cluster=cluster, **members)
        found: list[str] = answer["containerInstanceArns"]
        return found

    assert listed(filter="attribute:stack == prod") == [arn]
    assert listed(filter="attribute:ecs.instance-type =~ t3.* and agentConnected == true") == [arn]
    system = "attribute:ecs.os-family == LINUX and attribute:ecs.cpu-architecture exists"
    assert arn in listed(filter=system)
    assert len(listed(filter=system)) == 2  # this machine too
    assert listed(status="DRAINING") == []
    for expression in ("nonsense", "attribute:stack =~ ["):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            listed(filter=expression)


def test_attributes_are_put_listed_and_deleted(ecs: Any, cluster: str) -> None:
    arn = declare(ecs, cluster)
    ecs.put_attributes(cluster=cluster, attributes=[{"name": "disk", "targetId": arn}])

    def named(name: str, **members: Any) -> list[str]:
        found = ecs.list_attributes(
            cluster=cluster, targetType="container-instance", attributeName=name, **members
        )
        return [a["targetId"] for a in found["attributes"]]

    assert named("disk") == [arn]
    assert named("stack", attributeValue="prod") == [arn]
    assert named("stack", attributeValue="test") == []
    ecs.delete_attributes(cluster=cluster, attributes=[{"name": "disk", "targetId": arn}])
    assert named("disk") == []
    with pytest.raises(ClientError, match="TargetNotFoundException"):
        ecs.put_attributes(cluster=cluster, attributes=[{"name": "x", "targetId": "nowhere"}])


def test_cluster_with_declared_instances_cannot_be_deleted(ecs: Any, cluster: str) -> None:
    arn = declare(ecs, cluster)
    with pytest.raises(ClientError, match="ClusterContainsContainerInstancesException"):
        ecs.delete_cluster(cluster=cluster)
    ecs.deregister_container_instance(cluster=cluster, containerInstance=arn)
    assert ecs.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"


def test_agents_are_answered(ecs: Any, cluster: str, family: str) -> None:
    arn = declare(ecs, cluster)
    assert ecs.discover_poll_endpoint(cluster=cluster, containerInstance=arn)["endpoint"]
    with pytest.raises(ClientError, match="NoUpdateAvailableException"):
        ecs.update_container_agent(cluster=cluster, containerInstance=arn)
    register(ecs, family)
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    until(lambda: _status(ecs, cluster, task) == "RUNNING")
    said = ecs.submit_task_state_change(cluster=cluster, task=task, status="STOPPED")
    assert (said["acknowledgment"], _status(ecs, cluster, task)) == ("ACK", "RUNNING")


def _status(ecs: Any, cluster: str, task: str) -> str:
    return str(ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]["lastStatus"])


def test_instances_are_found_by_the_groups_of_their_tasks(
    ecs: Any, cluster: str, family: str
) -> None:
    first, second = declare(ecs, cluster), declare(ecs, cluster)
    take_out = set(ecs.list_container_instances(cluster=cluster)["containerInstanceArns"])
    for machine in take_out - {first, second}:
        ecs.deregister_container_instance(cluster=cluster, containerInstance=machine)
    register(ecs, family)
    ecs.start_task(cluster=cluster, taskDefinition=family, containerInstances=[first], group="db")

    def found(expression: str) -> list[str]:
        answer = ecs.list_container_instances(cluster=cluster, filter=expression)
        return list(answer["containerInstanceArns"])

    assert found("task:group == db") == [first]
    assert found("not(task:group == db)") == [second]
    near = {"type": "memberOf", "expression": "task:group == db"}
    answer = ecs.run_task(
        cluster=cluster, taskDefinition=family, count=3, placementConstraints=[near]
    )
    assert {task["containerInstanceArn"] for task in answer["tasks"]} == {first}
    with pytest.raises(ClientError, match="propagateTags"):
        ecs.run_task(cluster=cluster, taskDefinition=family, propagateTags="SERVICE")
