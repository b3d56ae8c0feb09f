"""EventBridge Scheduler and rules on a schedule run tasks, by the engine's own clock."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, container, null, register, until

ROLE = "arn:aws:iam::000000000000:role/scheduler"
OFF = {"Mode": "OFF"}
MINUTES_A_SECOND = "300"


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose clock goes five minutes in a second, with a cluster and a job."""
    engine = Engine(tmp_path, "null", "--time-scale", MINUTES_A_SECOND)
    ecs = engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, "job", container(dockerLabels=null(exit=0)))
    yield engine
    engine.shut_down()


def target(engine: Engine, **more: Any) -> dict[str, Any]:
    overrides = {"name": "web", "command": ["<aws.scheduler.scheduled-time>"]}
    ecs = engine.client("ecs")
    return {
        "Arn": ecs.describe_clusters(clusters=["c"])["clusters"][0]["clusterArn"],
        "RoleArn": ROLE,
        "EcsParameters": {"TaskDefinitionArn": "job"},
        "Input": json.dumps({"containerOverrides": [overrides]}),
        **more,
    }


def tasks(engine: Engine, started_by: str) -> list[dict[str, Any]]:
    ecs = engine.client("ecs")
    asked = {"cluster": "c", "startedBy": started_by}
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in ecs.list_tasks(**asked, desiredStatus=status)["taskArns"]
    ]
    found: list[dict[str, Any]] = []
    if arns:
        found = ecs.describe_tasks(cluster="c", tasks=arns)["tasks"]
    return sorted(found, key=lambda task: str(task["createdAt"]))


def moments(engine: Engine, name: str) -> list[datetime]:
    """Return the moments for which tasks of a schedule were run."""
    found = tasks(engine, f"chronos-schedule/{name}")
    commands = (t["overrides"]["containerOverrides"][0]["command"][0] for t in found)
    return [datetime.fromisoformat(command) for command in commands]


def evenly(step: timedelta, found: list[datetime]) -> bool:
    return all(b - a == step for a, b in itertools.pairwise(found))


def test_cron_runs_a_task_each_time_and_once_over_kills(fast: Engine) -> None:
    fast.client("scheduler").create_schedule(
        Name="nightly",
        ScheduleExpression="cron(0/5 * * * ? *)",
        ScheduleExpressionTimezone="Asia/Kathmandu",
        FlexibleTimeWindow=OFF,
        Target=target(fast),
    )
    for count in (2, 5, 8):
        until(lambda count=count: len(moments(fast, "nightly")) >= count)  # type: ignore[misc]
        fast.kill()
        fast.start()
    until(lambda: len(moments(fast, "nightly")) >= 10)
    found = moments(fast, "nightly")
    assert evenly(timedelta(minutes=5), found)
    assert all(moment.minute % 5 == 0 for moment in found)


def test_one_time_schedule_runs_at_its_time_and_goes(fast: Engine) -> None:
    scheduler = fast.client("scheduler")
    group = scheduler.create_schedule_group(Name="g")["ScheduleGroupArn"]
    made = scheduler.get_schedule_group(Name="g")["CreationDate"].astimezone(UTC)
    due = (made + timedelta(minutes=40)).replace(microsecond=0)
    arn = scheduler.create_schedule(
        Name="once",
        GroupName="g",
        ScheduleExpression=f"at({due.replace(tzinfo=None).isoformat()})",
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target=target(fast, EcsParameters={"TaskDefinitionArn": "job", "TaskCount": 2}),
    )["ScheduleArn"]
    assert arn.endswith(":schedule/g/once")
    assert scheduler.list_schedules(GroupName="g")["Schedules"][0]["Arn"] == arn
    until(lambda: not scheduler.list_schedules(GroupName="g")["Schedules"])
    found = tasks(fast, "chronos-schedule/once")
    assert [task["group"] for task in found] == ["family:job"] * 2
    assert moments(fast, "once") == [due, due]
    assert all(task["createdAt"] >= due for task in found)
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == []


def test_schedule_is_read_back_as_it_was_made(fast: Engine) -> None:
    scheduler = fast.client("scheduler")
    given = {
        "Name": "s",
        "ScheduleExpression": "cron(0 9 ? * 2#1 *)",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "Target": target(fast, RetryPolicy={"MaximumRetryAttempts": 1}),
        "Description": "first Monday",
        "State": "DISABLED",
    }
    scheduler.create_schedule(**given)
    seen = scheduler.get_schedule(Name="s")
    assert {name: seen[name] for name in given if name != "Target"} == {
        name: value for name, value in given.items() if name != "Target"
    }
    assert seen["Target"]["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86_400,
        "MaximumRetryAttempts": 1,
    }
    given |= {"State": "ENABLED", "FlexibleTimeWindow": OFF}
    del given["Description"]
    scheduler.update_schedule(**given)
    seen = scheduler.get_schedule(Name="s")
    assert (seen["State"], seen.get("Description")) == ("ENABLED", None)
    scheduler.delete_schedule(Name="s")
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name="s")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ScheduleExpression": "cron(0 9 * * * *)"},
        {"ScheduleExpressionTimezone": "Mars/Olympus"},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"StartDate": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_what_cannot_be_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    scheduler = engine.client("scheduler")
    wish = {
        "Name": "s",
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": "arn:aws:ecs:::cluster/c", "RoleArn": ROLE},
    }
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(**(wish | wrong))


def test_errors_have_the_status_of_the_model(engine: Engine) -> None:
    scheduler = engine.client("scheduler")
    scheduler.create_schedule_group(Name="taken")
    with pytest.raises(scheduler.exceptions.ConflictException) as conflict:
        scheduler.create_schedule_group(Name="taken")
    assert conflict.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException) as nothing:
        scheduler.list_schedules(GroupName="nobody")
    assert nothing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_lists_come_in_pages(engine: Engine) -> None:
    scheduler = engine.client("scheduler")
    for number in range(5):
        scheduler.create_schedule_group(Name=f"page-{number}")
    pages = scheduler.get_paginator("list_schedule_groups").paginate(
        NamePrefix="page-", PaginationConfig={"PageSize": 2}
    )
    names = [[group["Name"] for group in page["ScheduleGroups"]] for page in pages]
    assert names == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]


def put_rule(engine: Engine) -> Any:
    events = engine.client("events")
    events.put_rule(Name="r", ScheduleExpression="rate(5 minutes)")
    own = {"TaskDefinitionArn": "job", "Tags": [{"Key": "team", "Value": "a"}]}
    made = {**target(engine, EcsParameters=own), "Id": "1"}
    del made["Input"]
    events.put_targets(Rule="r", Targets=[made])
    return events


def test_rule_fires_over_a_kill_until_it_is_disabled(fast: Engine) -> None:
    events = put_rule(fast)
    until(lambda: len(tasks(fast, "events-rule/r")) >= 2)
    fast.kill()
    fast.start()
    events = fast.client("events")
    last = tasks(fast, "events-rule/r")[-1]["createdAt"]
    until(lambda: tasks(fast, "events-rule/r")[-1]["createdAt"] > last + timedelta(minutes=6))
    events.disable_rule(Name="r")
    assert events.describe_rule(Name="r")["State"] == "DISABLED"
    assert events.list_targets_by_rule(Rule="r")["Targets"][0]["Id"] == "1"


def test_rule_with_an_expression_that_aws_refuses_is_refused(fast: Engine) -> None:
    for text in ("rate(1 minutes)", "cron(0 9 * * * *)", "at(2030-01-01T00:00:00)"):
        with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
            fast.client("events").put_rule(Name="r", ScheduleExpression=text)


def kept(engine: Engine) -> list[str]:
    """Return the names of what the engine has to fire."""
    with closing(sqlite3.connect(engine.home / "state.db")) as db:
        rows = db.execute("SELECT body FROM document WHERE kind = 'timetable'").fetchall()
    return sorted(json.loads(body)["name"] for (body,) in rows)


def test_rules_go_with_the_side_services_and_schedules_stay(fast: Engine) -> None:
    wish = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF}
    fast.client("scheduler").create_schedule(Name="s", Target=target(fast), **wish)
    put_rule(fast)
    until(lambda: kept(fast) == ["r", "s"])
    os.kill(json.loads((fast.home / "moto.pid").read_text())["pid"], signal.SIGKILL)
    until(lambda: kept(fast) == ["s"])
    put_rule(fast)
    until(lambda: kept(fast) == ["r", "s"])
    fast.shut_down()
    fast.start()
    assert kept(fast) == ["s"]
    assert fast.client("scheduler").get_schedule(Name="s")["State"] == "ENABLED"
