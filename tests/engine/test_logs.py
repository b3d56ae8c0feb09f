"""CloudWatch Logs, over HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import container, null, register, until

_numbers = itertools.count(1)


@pytest.fixture
def group(logs: Any) -> Iterator[str]:
    name = f"/kaiun/test/{next(_numbers)}"
    logs.create_log_group(logGroupName=name)
    yield name
    logs.delete_log_group(logGroupName=name)


def write(logs: Any, group: str, stream: str, *lines: str) -> int:
    """Write lines one ms apart; return the time of the first."""
    now = int(time.time() * 1000)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": now + i, "message": line} for i, line in enumerate(lines)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return now


def test_reading_forward_ends_when_the_token_stays_the_same(logs: Any, group: str) -> None:
    write(logs, group, "s", *(f"line {n}" for n in range(25)))
    seen: list[str] = []
    token: dict[str, str] = {}
    for _ in range(10):
        page = logs.get_log_events(
            logGroupName=group, logStreamName="s", startFromHead=True, limit=10, **token
        )
        seen += [e["message"] for e in page["events"]]
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        token = {"nextToken": page["nextForwardToken"]}
    assert seen == [f"line {n}" for n in range(25)]
    logs.put_log_events(
        logGroupName=group,
        logStreamName="s",
        logEvents=[{"timestamp": int(time.time() * 1000) + 60_000, "message": "late"}],
    )
    page = logs.get_log_events(logGroupName=group, logStreamName="s", **token)
    assert [e["message"] for e in page["events"]] == ["late"]


def test_newest_lines_come_without_start_from_head(logs: Any, group: str) -> None:
    write(logs, group, "s", *"abcde")
    page = logs.get_log_events(logGroupName=group, logStreamName="s", limit=2)
    assert [e["message"] for e in page["events"]] == ["d", "e"]
    before = logs.get_log_events(
        logGroupName=group, logStreamName="s", limit=2, nextToken=page["nextBackwardToken"]
    )
    assert [e["message"] for e in before["events"]] == ["b", "c"]


def test_times_bound_what_is_read(logs: Any, group: str) -> None:
    start = write(logs, group, "s", *"abcde")
    page = logs.get_log_events(
        logGroupName=group, logStreamName="s", startTime=start + 1, endTime=start + 3
    )
    assert [e["message"] for e in page["events"]] == ["b", "c"]


def test_filter_finds_terms_in_all_streams(logs: Any, group: str) -> None:
    write(logs, group, "one", "ERROR alpha", "fine")
    write(logs, group, "two", "ERROR beta", "INFO")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern="ERROR -alpha", PaginationConfig={"PageSize": 1}
    )
    found = [e for page in pages for e in page["events"]]
    assert [(e["logStreamName"], e["message"]) for e in found] == [("two", "ERROR beta")]
    either = logs.filter_log_events(logGroupName=group, filterPattern="?fine ?INFO")["events"]
    assert sorted(e["message"] for e in either) == ["INFO", "fine"]


def test_what_is_missing_or_there_already_is_an_error(logs: Any, group: str) -> None:
    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        logs.create_log_group(logGroupName=group)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.get_log_events(logGroupName=group, logStreamName="nobody")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.delete_log_group(logGroupName="/nowhere")


def test_retention_is_kept(logs: Any, group: str) -> None:
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    assert found["retentionInDays"] == 7
    with pytest.raises(ClientError, match="InvalidParameterException"):
        logs.put_retention_policy(logGroupName=group, retentionInDays=8)


def test_streams_are_ordered_by_their_last_event(logs: Any, group: str) -> None:
    write(logs, group, "b", "x")
    time.sleep(0.005)
    write(logs, group, "a", "x")
    found = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)
    assert [s["logStreamName"] for s in found["logStreams"]] == ["a", "b"]


def test_lines_of_a_task_are_in_its_stream(ecs: Any, logs: Any, cluster: str, family: str) -> None:
    options = {"awslogs-group": f"/{family}", "awslogs-stream-prefix": "shop"}
    register(
        ecs,
        family,
        container(
            dockerLabels=null(exit=0, log="Hello from the task"),
            logConfiguration={"logDriver": "awslogs", "options": options},
        ),
    )
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    stream = f"shop/web/{task.rpartition('/')[2]}"

    def line() -> list[str]:
        try:
            page = logs.get_log_events(logGroupName=f"/{family}", logStreamName=stream)
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [e["message"] for e in page["events"]]

    assert until(line) == ["Hello from the task"]
