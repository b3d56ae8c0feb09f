"""ECS's events on EventBridge, and rules with a pattern, as boto3 sees them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.ecr import manifest
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

ACCOUNT = "000000000000"
RULES = itertools.count(1)
TASK = "ECS Task State Change"
SERVICE = "ECS Service Action"
DEPLOYMENT = "ECS Deployment State Change"
INSTANCE = "ECS Container Instance State Change"


@pytest.fixture(scope="module")
def sides(engine: Engine) -> Engine:
    """The engine with its side services awake; their first start takes seconds."""
    until(lambda: engine.client("sts").get_caller_identity()["Account"], 60)
    return engine


class Queue:
    """A queue, and all that it has got."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._sqs = engine.client("sqs")
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        self.got: list[str] = []

    def receive(self) -> list[str]:
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", ()):
            self.got.append(message["Body"])
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self.got

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.receive()]


Rule = Callable[..., str]


@pytest.fixture
def queue(sides: Engine) -> Queue:
    return Queue(sides, f"queue-{next(RULES)}")


@pytest.fixture
def rule(sides: Engine) -> Iterator[Rule]:
    """Make rules of one test alone: a pattern and targets."""
    events, made = sides.client("events"), []

    def make(pattern: dict[str, Any], *targets: dict[str, Any], **more: Any) -> str:
        name = f"rule-{next(RULES)}"
        arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern), **more)["RuleArn"]
        named = [{"Id": str(n), **target} for n, target in enumerate(targets)]
        answer = events.put_targets(Rule=name, Targets=named)
        assert not answer["FailedEntryCount"]
        made.append((name, [target["Id"] for target in named]))
        return str(arn)

    yield make
    for name, ids in made:
        events.remove_targets(Rule=name, Ids=ids)
        events.delete_rule(Name=name)


def of_cluster(cluster: str, kind: str, **detail: Any) -> dict[str, Any]:
    arn = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/{cluster}"
    return {"source": ["aws.ecs"], "detail-type": [kind], "detail": {"clusterArn": [arn], **detail}}


def test_queue_gets_every_state_of_a_task_in_order(
    rule: Rule, queue: Queue, ecs: Any, cluster: str, family: str
) -> None:
    rule(of_cluster(cluster, TASK), {"Arn": queue.arn})
    register(ecs, family, container(dockerLabels=null(exit=7, run_ms=200)))
    arn = ecs.run_task(cluster=cluster, taskDefinition=family, startedBy="me")["tasks"][0][
        "taskArn"
    ]
    wait_stopped(ecs, cluster, arn)
    until(lambda: any(e["detail"]["lastStatus"] == "STOPPED" for e in queue.events()))
    events = queue.events()
    states = [key for key, _ in itertools.groupby(e["detail"]["lastStatus"] for e in events)]
    wanted = ["PROVISIONING", "PENDING", "RUNNING", "DEPROVISIONING", "STOPPED"]
    assert [state for state in states if state in wanted] == wanted
    versions = [event["detail"]["version"] for event in events]
    assert versions == sorted(set(versions))
    last = events[-1]
    assert {name: last[name] for name in ("version", "detail-type", "source", "account")} == {
        "version": "0",
        "detail-type": TASK,
        "source": "aws.ecs",
        "account": ACCOUNT,
    }
    assert (last["region"], last["resources"]) == ("us-east-1", [arn])
    detail = last["detail"]
    assert (detail["taskArn"], detail["desiredStatus"]) == (arn, "STOPPED")
    assert (detail["startedBy"], detail["group"]) == ("me", f"family:{family}")
    assert (detail["stopCode"], detail["containers"][0]["exitCode"]) == (
        "EssentialContainerExited",
        7,
    )
    for name in ("createdAt", "startedAt", "stoppedAt", "updatedAt"):
        assert datetime.fromisoformat(detail[name]).tzinfo, name
    assert not {"tags", "healthStatus", "_"} & detail.keys()


def test_rule_gets_what_its_pattern_says_and_nothing_else(
    rule: Rule, queue: Queue, ecs: Any, cluster: str, family: str
) -> None:
    rule(
        of_cluster(cluster, TASK, lastStatus=["STOPPED"], containers={"exitCode": [7]}),
        {"Arn": queue.arn},
    )
    rule(of_cluster(cluster, TASK), {"Arn": queue.arn}, State="DISABLED")
    rule(of_cluster(cluster, TASK, lastStatus=["STOPPED"]), {"Arn": queue.arn, "Input": '"done"'})
    register(ecs, family, container(dockerLabels=null(exit=0)))
    arn = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    wait_stopped(ecs, cluster, arn)
    until(queue.receive)
    assert queue.receive() == ['"done"']


def test_service_and_its_deployments_are_told_of(
    rule: Rule, queue: Queue, ecs: Any, cluster: str, family: str
) -> None:
    rule(of_cluster(cluster, SERVICE), {"Arn": queue.arn})
    prefix = f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/{cluster}/"
    changes = {"detail-type": [DEPLOYMENT], "resources": [{"prefix": prefix}]}
    rule(changes, {"Arn": queue.arn})
    register(ecs, family)
    made = ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1
    )["service"]
    deployment = wait_rollout(ecs, cluster, "web")["deployments"][0]["id"]
    bad = register(ecs, family, container(dockerLabels=null(exit=1)))
    ecs.update_service(
        cluster=cluster,
        service="web",
        taskDefinition=bad,
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
    )

    def names() -> list[str]:
        return [event["detail"]["eventName"] for event in queue.events()]

    until(lambda: "SERVICE_DEPLOYMENT_FAILED" in names())
    until(lambda: names().count("SERVICE_DEPLOYMENT_COMPLETED") == 2)
    events = queue.events()
    assert all(event["resources"] == [made["serviceArn"]] for event in events)
    found = names()
    assert "SERVICE_STEADY_STATE" in found
    of_deployments = [n for n in found if n.startswith("SERVICE_DEPLOYMENT")]
    assert of_deployments[:3] == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
    ]
    details = [event["detail"] for event in events]
    first = next(d for d in details if d["eventName"] == "SERVICE_DEPLOYMENT_COMPLETED")
    assert first["deploymentId"] == deployment
    assert first["reason"] == f"ECS deployment {deployment} completed."
    failed = next(d for d in details if d["eventName"] == "SERVICE_DEPLOYMENT_FAILED")
    assert (failed["eventType"], failed["reason"]) == (
        "ERROR",
        "ECS deployment circuit breaker: tasks failed to start.",
    )


def test_unplaced_task_is_told_of_with_its_reason(
    rule: Rule, queue: Queue, ecs: Any, cluster: str, family: str
) -> None:
    rule(
        of_cluster(cluster, SERVICE, eventName=["SERVICE_TASK_PLACEMENT_FAILURE"]),
        {"Arn": queue.arn},
    )
    register(ecs, family)
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        placementConstraints=[{"type": "memberOf", "expression": "attribute:no == such"}],
    )
    (event, *_) = until(queue.events)
    assert event["detail"]["eventType"] == "ERROR"
    assert event["detail"]["reason"] == "ATTRIBUTE"
    assert describe(ecs, cluster, "web")["runningCount"] == 0


def test_container_instance_is_told_of(
    rule: Rule, queue: Queue, ecs: Any, cluster: str, family: str
) -> None:
    rule(of_cluster(cluster, INSTANCE), {"Arn": queue.arn})
    register(ecs, family)
    (instance,) = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    ecs.run_task(cluster=cluster, taskDefinition=family)
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[instance], status="DRAINING"
    )
    until(lambda: any(e["detail"]["status"] == "DRAINING" for e in queue.events()))
    last = queue.events()[-1]
    assert last["resources"] == [instance]
    left = {r["name"]: r["integerValue"] for r in last["detail"]["remainingResources"]}
    had = {r["name"]: r["integerValue"] for r in last["detail"]["registeredResources"]}
    assert left["MEMORY"] == had["MEMORY"] - 64
    assert datetime.fromisoformat(last["detail"]["registeredAt"]).tzinfo


def test_log_group_gets_lines(rule: Rule, ecs: Any, logs: Any, cluster: str, family: str) -> None:
    group = f"/aws/events/{cluster}"
    logs.create_log_group(logGroupName=group)
    transformer = {
        "InputPathsMap": {"state": "$.detail.lastStatus", "task": "$.resources[0]"},
        "InputTemplate": '"<task> is <state>"',
    }
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    rule(of_cluster(cluster, TASK), {"Arn": arn, "InputTransformer": transformer})
    register(ecs, family)
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]

    def lines() -> list[str]:
        return [e["message"] for e in logs.filter_log_events(logGroupName=group)["events"]]

    until(lambda: f'"{task} is RUNNING"' in lines())


def test_event_of_ones_own_runs_a_task(
    sides: Engine, rule: Rule, ecs: Any, cluster: str, family: str
) -> None:
    """The pattern picks one of two events; its input tells the task what it is about."""
    definition = register(ecs, family)
    override = '{"containerOverrides": [{"name": "web", "command": ["<key>"]}]}'
    target = {
        "Arn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/{cluster}",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r",
        "EcsParameters": {"TaskDefinitionArn": definition, "TaskCount": 2},
        "InputTransformer": {"InputPathsMap": {"key": "$.detail.key"}, "InputTemplate": override},
    }
    arn = rule({"source": ["shop"], "detail": {"key": [{"prefix": f"{cluster}/"}]}}, target)
    entries = [
        {"Source": "shop", "DetailType": "upload", "Detail": json.dumps({"key": key})}
        for key in (f"{cluster}/a", "elsewhere/b")
    ]
    answer = sides.client("events").put_events(Entries=entries)
    assert (answer["FailedEntryCount"], len(answer["Entries"])) == (0, 2)

    def tasks() -> list[dict[str, Any]]:
        arns = ecs.list_tasks(cluster=cluster)["taskArns"]
        found: list[dict[str, Any]] = (
            ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        )
        return found

    found = until(tasks)
    assert [t["startedBy"] for t in found] == [f"events-rule/{arn.rpartition('/')[2]}"] * 2
    commands = [t["overrides"]["containerOverrides"][0]["command"] for t in found]
    assert commands == [[f"{cluster}/a"]] * 2


def test_patterns_are_tested_and_wrong_events_refused(sides: Engine) -> None:
    events = sides.client("events")
    event = {"source": "shop", "detail-type": "x", "detail": {"n": 3}}
    pattern = {"detail": {"n": [{"numeric": [">", 2]}]}}
    answer = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert answer["Result"] is True
    with pytest.raises(ClientError, match=r"InvalidEventPatternException.*Unrecognized match type"):
        events.put_rule(Name="wrong", EventPattern='{"source": [{"like": "x"}]}')
    wrong = {"Source": "shop", "DetailType": "x", "Detail": "{"}
    answer = events.put_events(Entries=[wrong])
    assert answer["Entries"][0]["ErrorCode"] == "MalformedDetail"


def test_archive_keeps_ecs_events(
    engine: Engine, rule: Rule, queue: Queue, cluster: str, family: str
) -> None:
    events, ecs = engine.client("events"), engine.client("ecs")
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    pattern = of_cluster(cluster, TASK, lastStatus=["STOPPED"])
    events.create_archive(ArchiveName=cluster, EventSourceArn=bus, EventPattern=json.dumps(pattern))
    rule(pattern, {"Arn": queue.arn})
    try:
        register(ecs, family, container(dockerLabels=null(exit=0)))
        ecs.run_task(cluster=cluster, taskDefinition=family)
        until(lambda: events.describe_archive(ArchiveName=cluster)["EventCount"])
        assert [e["detail"]["lastStatus"] for e in queue.events()] == ["STOPPED"]
    finally:
        events.delete_archive(ArchiveName=cluster)


def test_what_cannot_be_delivered_holds_up_nothing(
    rule: Rule, queue: Queue, engine: Engine, cluster: str, family: str
) -> None:
    """A queue that is not there, a target of no known kind, a missing log group."""
    ecs = engine.client("ecs")
    pattern = of_cluster(cluster, TASK, lastStatus=["RUNNING"])
    arns = (
        f"{queue.arn}-gone",
        f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f",
        f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:gone-{cluster}",
    )
    rule(pattern, *({"Arn": arn} for arn in arns), {"Arn": queue.arn})
    register(ecs, family)
    ecs.run_task(cluster=cluster, taskDefinition=family)
    until(queue.receive)
    log = engine.log()
    assert all(arn in log for arn in arns)


def test_image_that_is_pushed_or_deleted_is_told_of(
    engine: Engine, rule: Rule, queue: Queue, cluster: str
) -> None:
    ecr = engine.client("ecr")
    ecr.create_repository(repositoryName=cluster)
    pattern = {"source": ["aws.ecr"], "detail": {"repository-name": [cluster]}}
    rule({**pattern, "detail-type": ["ECR Image Action"]}, {"Arn": queue.arn})
    put = ecr.put_image(repositoryName=cluster, imageManifest=manifest(), imageTag="v1")
    digest = put["image"]["imageId"]["imageDigest"]
    ecr.batch_delete_image(repositoryName=cluster, imageIds=[{"imageDigest": digest}])
    until(lambda: len(queue.events()) == 2)
    details = [event["detail"] for event in queue.events()]
    assert [detail["action-type"] for detail in details] == ["PUSH", "DELETE"]
    assert details[0] == {
        "result": "SUCCESS",
        "repository-name": cluster,
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": "v1",
    }


def test_event_goes_from_bus_to_bus(engine: Engine, rule: Rule, queue: Queue, cluster: str) -> None:
    events = engine.client("events")
    events.create_event_bus(Name=cluster)
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{cluster}"
    rule({"source": [cluster]}, {"Arn": bus})
    pattern = json.dumps({"detail": {"n": [1]}})
    events.put_rule(Name="inner", EventBusName=cluster, EventPattern=pattern)
    target = {"Id": "q", "Arn": queue.arn, "InputPath": "$.detail"}
    events.put_targets(Rule="inner", EventBusName=cluster, Targets=[target])
    for number in (1, 2):
        detail = json.dumps({"n": number})
        events.put_events(Entries=[{"Source": cluster, "DetailType": "x", "Detail": detail}])
    until(queue.receive)
    assert queue.receive() == ['{"n": 1}']


def test_killed_engine_loses_no_event(own_engine: Engine) -> None:
    """Tasks end and the engine is killed at once, again and again: each is told of as STOPPED."""
    until(lambda: own_engine.client("sts").get_caller_identity()["Account"], 60)
    queue = Queue(own_engine, "all")
    events = own_engine.client("events")
    pattern = {"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"]}}
    events.put_rule(Name="all", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", Targets=[{"Id": "q", "Arn": queue.arn}])
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, "f", container(dockerLabels=null(exit=0, run_ms=5)))
    started: set[str] = set()
    for _ in range(6):
        answer = ecs.run_task(cluster="c", taskDefinition="f", count=10)
        started |= {task["taskArn"] for task in answer["tasks"]}
        own_engine.kill()
        own_engine.start()

    def told() -> bool:
        return {event["detail"]["taskArn"] for event in queue.events()} == started

    until(told)
