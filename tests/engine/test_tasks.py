"""One-off tasks and the shapes of tasks, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, container, null, register, until, wait_stopped


def run(ecs: Any, cluster: str, family: str, **fields: Any) -> str:
    answer = ecs.run_task(cluster=cluster, taskDefinition=family, **fields)
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


@pytest.mark.parametrize("code", [0, 7, 137])
def test_exit_code_of_a_task_is_its_own(ecs: Any, cluster: str, family: str, code: int) -> None:
    register(ecs, family, container(dockerLabels=null(exit=code, run_ms=20)))
    task = run(ecs, cluster, family)
    ecs.get_waiter("tasks_stopped").wait(
        cluster=cluster, tasks=[task], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    stopped = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
    assert stopped["containers"][0]["exitCode"] == code
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    moments = ["createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"]
    times = [stopped[m] for m in moments if m in stopped]
    assert times == sorted(times)
    assert {"createdAt", "stoppedAt"} <= stopped.keys()


def test_out_of_memory_is_told(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(dockerLabels=null(oom=1, run_ms=0)))
    task = wait_stopped(ecs, cluster, run(ecs, cluster, family))
    assert task["containers"][0]["exitCode"] == 137
    assert "OutOfMemoryError" in task["containers"][0]["reason"]


def test_stopped_task_tells_who_stopped_it(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(dockerLabels=null(stop_exit=7)))
    task = run(ecs, cluster, family)
    ecs.get_waiter("tasks_running").wait(
        cluster=cluster, tasks=[task], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    ecs.stop_task(cluster=cluster, task=task, reason="enough")
    stopped = wait_stopped(ecs, cluster, task)
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    assert stopped["containers"][0]["exitCode"] == 7


def test_container_that_ignores_sigterm_is_killed(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(stopTimeout=1, dockerLabels=null(stop_ms=60_000)))
    task = run(ecs, cluster, family)
    ecs.stop_task(cluster=cluster, task=task)
    assert wait_stopped(ecs, cluster, task)["containers"][0].get("exitCode") in (137, None)


def test_dependency_starts_after_what_it_waits_for(ecs: Any, cluster: str, family: str) -> None:
    first = container("init", essential=False, dockerLabels=null(exit=0, run_ms=100), memory=64)
    waits = container("web", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    register(ecs, family, first, waits)
    task = run(ecs, cluster, family)

    def both() -> dict[str, str] | None:
        found = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
        states = {c["name"]: c["lastStatus"] for c in found["containers"]}
        assert (states["web"], states["init"]) != ("RUNNING", "RUNNING")
        return states if states["web"] == "RUNNING" else None

    assert until(both) == {"init": "STOPPED", "web": "RUNNING"}


def test_overrides_are_shown_and_unknown_containers_refused(
    ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family)
    override = {"name": "web", "command": ["rake", "db:migrate"]}
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=family,
        overrides={"containerOverrides": [override]},
        startedBy="kaiun",
        group="migrations",
    )
    task = answer["tasks"][0]
    assert task["overrides"]["containerOverrides"] == [override]
    assert (task["startedBy"], task["group"]) == ("kaiun", "migrations")
    assert ecs.list_tasks(cluster=cluster, startedBy="kaiun")["taskArns"] == [task["taskArn"]]
    with pytest.raises(ClientError, match="is not a container in the TaskDefinition"):
        ecs.run_task(
            cluster=cluster,
            taskDefinition=family,
            overrides={"containerOverrides": [{"name": "nobody"}]},
        )


def test_static_port_that_is_taken_is_a_failure(ecs: Any, cluster: str, family: str) -> None:
    mapping = {"containerPort": 80, "hostPort": 18080}
    register(ecs, family, container(portMappings=[mapping]))
    answer = ecs.run_task(cluster=cluster, taskDefinition=family, count=2)
    assert [f["reason"] for f in answer["failures"]] == ["RESOURCE:PORTS"]
    ecs.stop_task(cluster=cluster, task=answer["tasks"][0]["taskArn"])


def test_bridge_ports_and_awsvpc_addresses_are_shown(ecs: Any, cluster: str, family: str) -> None:
    ports = [{"containerPort": 80}]
    register(ecs, family, container(portMappings=ports))
    bridge = run(ecs, cluster, family)
    register(ecs, family, container(portMappings=ports), networkMode="awsvpc")
    own = run(
        ecs,
        cluster,
        family,
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )

    def running() -> list[dict[str, Any]] | None:
        tasks: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=[bridge, own])[
            "tasks"
        ]
        return tasks if all(t["lastStatus"] == "RUNNING" for t in tasks) else None

    tasks = until(running)
    assert tasks is not None
    binding = tasks[0]["containers"][0]["networkBindings"][0]
    assert (binding["containerPort"], binding["protocol"]) == (80, "tcp")
    assert binding["hostPort"] > 1024
    details = {d["name"]: d["value"] for d in tasks[1]["attachments"][0]["details"]}
    address = tasks[1]["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    assert details["privateIPv4Address"] == address
    assert tasks[1]["containers"][0]["networkBindings"] == []


def test_awsvpc_without_network_configuration_is_refused(
    ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family, container(), networkMode="awsvpc")
    with pytest.raises(ClientError, match="Network Configuration must be provided"):
        ecs.run_task(cluster=cluster, taskDefinition=family)


def test_network_without_subnets_is_refused(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, container(), networkMode="awsvpc")
    with pytest.raises(ClientError, match="subnets can not be empty"):
        ecs.run_task(
            cluster=cluster,
            taskDefinition=family,
            networkConfiguration={"awsvpcConfiguration": {"subnets": []}},
        )


def test_missing_tasks_are_failures(ecs: Any, cluster: str) -> None:
    answer = ecs.describe_tasks(cluster=cluster, tasks=["0" * 32])
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]


def test_token_makes_tasks_once_and_for_one_request(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    call = {"cluster": cluster, "taskDefinition": family, "clientToken": f"once-{cluster}"}
    arns = [ecs.run_task(**call)["tasks"][0]["taskArn"] for _ in range(2)]
    assert arns[0] == arns[1]
    with pytest.raises(ClientError, match="ConflictException") as caught:
        ecs.run_task(**call, count=2)
    assert caught.value.response["resourceIds"] == arns[:1]


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, "null", "--time-scale", "100")
    engine.client("ecs").create_cluster(clusterName="c")
    yield engine
    engine.shut_down()


def lines(engine: Engine, family: str) -> list[str]:
    events = engine.client("logs").filter_log_events(logGroupName=f"/ecs/{family}")["events"]
    return [event["message"] for event in events]


def test_restart_policy_runs_a_container_again_in_its_task(fast: Engine) -> None:
    ecs = fast.client("ecs")
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    labels = null(exit=1, run_ms=61_000, log="up")
    register(ecs, "again", container(dockerLabels=labels, restartPolicy=policy))
    task = run(ecs, "c", "again")
    until(lambda: len(lines(fast, "again")) >= 3)
    found = ecs.describe_tasks(cluster="c", tasks=[task])["tasks"][0]
    assert (found["lastStatus"], found["desiredStatus"]) == ("RUNNING", "RUNNING")
    ecs.stop_task(cluster="c", task=task)
    assert wait_stopped(ecs, "c", task)["stopCode"] == "UserInitiated"


@pytest.mark.parametrize(
    ("policy", "run_ms"),
    [
        ({"enabled": False, "restartAttemptPeriod": 60}, 61_000),
        ({"enabled": True, "restartAttemptPeriod": 60}, 30_000),
        ({"enabled": True}, 200_000),
        ({"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [1]}, 61_000),
    ],
)
def test_restart_policy_lets_the_task_end(
    fast: Engine, policy: dict[str, Any], run_ms: int
) -> None:
    ecs = fast.client("ecs")
    labels = null(exit=1, run_ms=run_ms, log="up")
    register(ecs, "once", container(dockerLabels=labels, restartPolicy=policy))
    stopped = wait_stopped(ecs, "c", run(ecs, "c", "once"))
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["containers"][0]["exitCode"] == 1
    assert lines(fast, "once") == ["up"]
