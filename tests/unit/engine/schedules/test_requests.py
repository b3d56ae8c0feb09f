"""What RunTask is asked for a target."""

from __future__ import annotations

import json
from typing import Any

from kaiun.engine.schedules.requests import Occasion, is_for_ecs, run_task_request

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/shop"
RULE = "arn:aws:events:us-east-1:000000000000:rule/nightly"
OCCASION = Occasion(RULE, "an-id", 1_764_064_800.0, 2, "000000000000", "us-east-1")


def entry(source: str, name: str = "nightly") -> dict[str, Any]:
    return {"source": source, "name": name}


def target(**more: Any) -> dict[str, Any]:
    own = {"TaskDefinitionArn": "report:3", **more.pop("EcsParameters", {})}
    return {"Arn": CLUSTER, "EcsParameters": own, **more}


def test_parameters_become_those_of_run_task() -> None:
    asked = run_task_request(
        entry("scheduler"),
        target(
            EcsParameters={
                "TaskCount": 3,
                "LaunchType": "FARGATE",
                "PlatformVersion": "1.4.0",
                "Group": "reports",
                "NetworkConfiguration": {
                    "awsvpcConfiguration": {
                        "Subnets": ["subnet-1"],
                        "SecurityGroups": ["sg-1"],
                        "AssignPublicIp": "DISABLED",
                    }
                },
                "PropagateTags": "TASK_DEFINITION",
                "EnableECSManagedTags": True,
                "ReferenceId": "r",
                "PlacementStrategy": [{"type": "spread", "field": "instanceId"}],
                "Tags": [{"key": "team", "value": "a"}, {"Key": "b", "Value": "c"}, {"d": "e"}],
            }
        ),
        OCCASION,
    )
    assert asked == {
        "cluster": CLUSTER,
        "taskDefinition": "report:3",
        "count": 3,
        "startedBy": "chronos-schedule/nightly",
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "group": "reports",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED",
            }
        },
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
        "referenceId": "r",
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "tags": [
            {"key": "team", "value": "a"}, {"key": "b", "value": "c"}, {"key": "d", "value": "e"},
        ],
    }  # fmt: skip


def test_started_by_is_cut_to_what_run_task_allows() -> None:
    long = run_task_request(entry("scheduler", "gold-coast-data-lake"), target(), OCCASION)
    assert long["startedBy"] == "chronos-schedule/gold-coast-data-lak"
    rule = run_task_request(entry("events"), target(), OCCASION)
    assert rule["startedBy"] == "events-rule/nightly"


def test_input_of_a_schedule_overrides_and_knows_its_context() -> None:
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    command = [f"<aws.scheduler.{name}>" for name in names]
    text = json.dumps({"containerOverrides": [{"name": "web", "command": command}]})
    asked = run_task_request(entry("scheduler"), target(Input=text), OCCASION)
    assert asked["overrides"]["containerOverrides"] == [
        {"name": "web", "command": [RULE, "2025-11-25T10:00:00Z", "an-id", "2"]}
    ]


def test_input_of_a_rule_overrides_as_it_is() -> None:
    text = '{"containerOverrides": [{"name": "web", "command": ["<aws.scheduler.execution-id>"]}]}'
    asked = run_task_request(entry("events"), target(Input=text), OCCASION)
    assert asked["overrides"] == json.loads(text)


def test_input_transformer_takes_from_the_scheduled_event() -> None:
    transformer = {
        "InputPathsMap": {
            "t": "$.time", "r": "$.resources[0]", "k": "$.detail-type", "no": "$.detail.x[3]",
        },
        "InputTemplate": '{"containerOverrides": [{"name": "web", "environment": '
        '[{"name": "<aws.events.rule-name>", "value": "<t> <r> <k> <no>"}]}]}',
    }  # fmt: skip
    asked = run_task_request(entry("events"), target(InputTransformer=transformer), OCCASION)
    assert asked["overrides"]["containerOverrides"][0]["environment"] == [
        {"name": "nightly", "value": f"2025-11-25T10:00:00Z {RULE} Scheduled Event "}
    ]


def test_the_event_itself_overrides_nothing() -> None:
    assert "overrides" not in run_task_request(entry("events"), target(), OCCASION)


def test_only_a_cluster_with_a_task_is_for_ecs() -> None:
    assert is_for_ecs(target())
    assert not is_for_ecs({"Arn": CLUSTER})
    assert not is_for_ecs({"Arn": "arn:aws:sqs:us-east-1:000000000000:q"})
