"""ExecuteCommand and its data channel over HTTP, with imagined containers that echo."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, container, null, register, until, wait_rollout, wait_stopped
from support.session import Hand, Held
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kaiun.errors import SessionError
from kaiun.session.frames import Frame, MessageType, PayloadType

ROLE = "arn:aws:iam::000000000000:role/task"
Opener = Callable[[dict[str, str]], Hand]
NOT_ENABLED = "execute command was not enabled when the task was run"


def start(ecs: Any, cluster: str, family: str, *containers: Any, **fields: Any) -> str:
    """Return the ARN of a task that runs, with ECS Exec unless `fields` say otherwise."""
    register(ecs, family, *containers, taskRoleArn=ROLE)
    order = {"enableExecuteCommand": True, **fields}
    task = ecs.run_task(cluster=cluster, taskDefinition=family, **order)["tasks"][0]["taskArn"]
    until(lambda: described(ecs, cluster, task)["lastStatus"] == "RUNNING")
    return str(task)


def described(ecs: Any, cluster: str, task: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
    return found


def execute(ecs: Any, cluster: str, task: str, **fields: Any) -> dict[str, Any]:
    order = {"command": "sh", "interactive": True, **fields}
    answer: dict[str, Any] = ecs.execute_command(cluster=cluster, task=task, **order)
    return answer


@pytest.fixture
def open_by_hand() -> Iterator[Opener]:
    with ExitStack() as stack:
        yield lambda session: stack.enter_context(closing(Hand(session)))


@pytest.fixture
def task(ecs: Any, cluster: str, family: str) -> str:
    return start(ecs, cluster, family)


@pytest.fixture
def session(ecs: Any, cluster: str, task: str) -> dict[str, str]:
    found: dict[str, str] = execute(ecs, cluster, task)["session"]
    return found


def test_answer_names_the_container_and_a_session(ecs: Any, cluster: str, task: str) -> None:
    answer = execute(ecs, cluster, task.rpartition("/")[2])
    own = described(ecs, cluster, task)
    assert answer["taskArn"] == task
    assert answer["clusterArn"] == own["clusterArn"]
    assert (answer["containerName"], answer["interactive"]) == ("web", True)
    assert answer["containerArn"] == own["containers"][0]["containerArn"]
    assert re.fullmatch(r"ecs-execute-command-\w+", answer["session"]["sessionId"])
    assert answer["session"]["streamUrl"].startswith("ws://127.0.0.1:")


def test_agent_runs_as_long_as_its_container(ecs: Any, cluster: str, task: str) -> None:
    def agents(task: str) -> list[tuple[str, str]]:
        found = described(ecs, cluster, task)["containers"][0]["managedAgents"]
        return [(agent["name"], agent["lastStatus"]) for agent in found]

    assert agents(task) == [("ExecuteCommandAgent", "RUNNING")]
    ecs.stop_task(cluster=cluster, task=task)
    wait_stopped(ecs, cluster, task)
    assert agents(task) == [("ExecuteCommandAgent", "STOPPED")]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"interactive": False}, "InvalidParameterException.*Interactive is the only mode"),
        ({"container": "none"}, "InvalidParameterException.*container none was not found"),
        ({"task": "0" * 32}, "InvalidParameterException.*task was not found"),
        ({"cluster": "none"}, "ClusterNotFoundException.*Cluster not found"),
    ],
)
def test_what_cannot_be_is_refused(
    ecs: Any, cluster: str, task: str, fields: dict[str, Any], error: str
) -> None:
    order = {"cluster": cluster, "task": task, "command": "sh", "interactive": True, **fields}
    with pytest.raises(ClientError, match=error):
        ecs.execute_command(**order)


def test_container_has_to_be_named_where_there_are_several(
    ecs: Any, cluster: str, family: str
) -> None:
    task = start(ecs, cluster, family, container("web"), container("log"))
    with pytest.raises(ClientError, match=r"InvalidParameterException.*container name must be"):
        execute(ecs, cluster, task)
    assert execute(ecs, cluster, task, container="log")["containerName"] == "log"


def test_task_without_ecs_exec_refuses(ecs: Any, cluster: str, family: str) -> None:
    task = start(ecs, cluster, family, enableExecuteCommand=False)
    assert described(ecs, cluster, task)["containers"][0]["managedAgents"] == []
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{NOT_ENABLED}"):
        execute(ecs, cluster, task)


def test_stopped_task_refuses(ecs: Any, cluster: str, task: str) -> None:
    ecs.stop_task(cluster=cluster, task=task)
    wait_stopped(ecs, cluster, task)
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{NOT_ENABLED}"):
        execute(ecs, cluster, task)


def test_container_that_has_ended_is_not_connected(ecs: Any, cluster: str, family: str) -> None:
    short = container("short", essential=False, dockerLabels=null(exit=0))
    task = start(ecs, cluster, family, container("web"), short)
    until(lambda: described(ecs, cluster, task)["containers"][1]["lastStatus"] == "STOPPED")
    with pytest.raises(ClientError, match="TargetNotConnectedException"):
        execute(ecs, cluster, task, container="short")


def test_ecs_exec_needs_a_task_role(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family)
    bare = {"cluster": cluster, "taskDefinition": family}
    with pytest.raises(ClientError, match="a valid task role is not being used"):
        ecs.run_task(**bare, enableExecuteCommand=True)
    ecs.run_task(**bare, enableExecuteCommand=True, overrides={"taskRoleArn": ROLE})
    with pytest.raises(ClientError, match="couldn't be created because a valid taskRoleArn"):
        ecs.create_service(**bare, serviceName="web", enableExecuteCommand=True)
    ecs.create_service(**bare, serviceName="web", desiredCount=1)
    update = {"cluster": cluster, "service": "web", "enableExecuteCommand": True}
    with pytest.raises(ClientError, match="couldn't be updated because a valid taskRoleArn"):
        ecs.update_service(**update)
    definition = register(ecs, family, taskRoleArn=ROLE)
    ecs.update_service(**update, taskDefinition=definition)
    wait_rollout(ecs, cluster, "web")
    ecs.update_service(cluster=cluster, service="web", desiredCount=2)
    with pytest.raises(ClientError, match="couldn't be updated because a valid taskRoleArn"):
        ecs.update_service(cluster=cluster, service="web", taskDefinition=f"{family}:1")


def test_tasks_of_a_service_with_ecs_exec_have_it(ecs: Any, cluster: str, family: str) -> None:
    register(ecs, family, taskRoleArn=ROLE)
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        enableExecuteCommand=True,
    )
    wait_rollout(ecs, cluster, "web")
    (task,) = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    held = Held(execute(ecs, cluster, task)["session"])
    held.sees(b"imagined")
    held.enter(b"\x04")
    held.ends()


def test_logging_of_a_cluster_is_kept(ecs: Any, cluster: str) -> None:
    logging = {
        "executeCommandConfiguration": {
            "kmsKeyId": "alias/exec",
            "logging": "OVERRIDE",
            "logConfiguration": {"cloudWatchLogGroupName": "exec", "s3BucketName": "exec"},
        }
    }
    ecs.update_cluster(cluster=cluster, configuration=logging)
    found = ecs.describe_clusters(clusters=[cluster], include=["CONFIGURATIONS"])["clusters"][0]
    assert found["configuration"] == logging


def test_session_goes_both_ways_and_ends_with_its_command(session: dict[str, str]) -> None:
    held = Held(session)
    held.sees(b"[80x24]")
    held.enter(b"hello\r")
    held.sees(b"hello\r\n")
    held.resize(132, 50)
    held.sees(b"[132x50]")
    held.enter(b"bye\x04")
    assert held.ends() == ""
    assert held.shown.endswith(b"bye")


def test_several_sessions_are_held_at_once(ecs: Any, cluster: str, task: str) -> None:
    all_held = [Held(execute(ecs, cluster, task)["session"]) for _ in range(5)]
    for number, held in enumerate(all_held):
        held.enter(b"session %d\r" % number)
    for number, held in enumerate(all_held):
        held.sees(b"session %d\r\n" % number)
        assert held.shown.count(b"session") == 1
        held.enter(b"\x04")
        held.ends()


def refusal(session: dict[str, str], token: str | None = None) -> str:
    """Return why a session is not opened."""
    with closing(Hand(session, token)) as hand, pytest.raises(ConnectionClosed) as caught:
        hand.next()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    return caught.value.rcvd.reason


def test_token_opens_one_session_once(
    ecs: Any, cluster: str, task: str, open_by_hand: Opener
) -> None:
    one, other = (execute(ecs, cluster, task)["session"] for _ in range(2))
    assert "opens no session" in refusal(one, other["tokenValue"])
    assert "opens no session" in refusal(one, "")
    hand = open_by_hand(one)
    hand.shake_hands()
    assert "opens no session" in refusal(one)


def test_client_of_ours_says_why_a_session_was_refused(session: dict[str, str]) -> None:
    with pytest.raises(SessionError, match="refused: This token opens no session"):
        Held({**session, "tokenValue": "another"}).ends()


def test_page_of_a_browser_is_not_let_in(session: dict[str, str]) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        with pytest.raises(InvalidStatus) as caught:
            connect(session["streamUrl"], proxy=None, additional_headers=headers)
        assert caught.value.response.status_code == 403


def test_output_that_is_not_acknowledged_comes_again(
    session: dict[str, str], open_by_hand: Opener
) -> None:
    hand = open_by_hand(session)
    hand.shake_hands()
    hand.send(PayloadType.SIZE, b'{"cols": 80, "rows": 24}')
    first = hand.output(2)
    assert hand.output(2) == first
    hand.acknowledge(first)
    assert b"80x24" in hand.output(3).payload


def test_input_counts_once_however_often_it_comes(
    session: dict[str, str], open_by_hand: Opener
) -> None:
    hand = open_by_hand(session)
    hand.shake_hands()
    hand.send(PayloadType.SIZE, b'{"cols": 80, "rows": 24}')
    late = Frame(MessageType.INPUT, b"<b>", PayloadType.OUTPUT, sequence_number=3)
    early = Frame(MessageType.INPUT, b"<a>", PayloadType.OUTPUT, sequence_number=2)
    end = Frame(MessageType.INPUT, b"\x04", PayloadType.OUTPUT, sequence_number=4)
    for frame in (late, early, early, late, end):
        hand.connection.send(frame.encode())
    shown: dict[int, bytes] = {}
    while (frame := hand.next()).message_type != MessageType.CLOSED:
        if frame.message_type == MessageType.OUTPUT:
            shown[frame.sequence_number] = frame.payload
            hand.acknowledge(frame)
    assert b"".join(shown[number] for number in sorted(shown)).endswith(b"<a><b>")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\0" * 200, "text", "{}", b"\xff" * 4096])
def test_nonsense_ends_the_session_and_nothing_else(
    engine: Engine, session: dict[str, str], data: bytes | str, open_by_hand: Opener
) -> None:
    hand = open_by_hand(session)
    hand.shake_hands()
    hand.connection.send(data)
    while (frame := hand.next()).message_type != MessageType.CLOSED:
        pass
    assert b"no frame" in frame.payload
    assert "Traceback" not in engine.log()


@pytest.mark.parametrize("data", [b"", "", "[]", "nonsense", b"\xff\xfe", '{"TokenValue": 7}'])
def test_nonsense_instead_of_a_token_is_refused(
    engine: Engine, session: dict[str, str], data: bytes | str
) -> None:
    with connect(session["streamUrl"], proxy=None) as connection:
        connection.send(data)
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    assert "Traceback" not in engine.log()


def test_command_that_cannot_be_split_ends_its_session(ecs: Any, cluster: str, task: str) -> None:
    held = Held(execute(ecs, cluster, task, command="sh -c 'open")["session"])
    assert "Failed to parse commands input" in held.ends()


def test_end_of_a_task_ends_its_sessions(
    ecs: Any, cluster: str, task: str, session: dict[str, str]
) -> None:
    held = Held(session)
    held.sees(b"imagined")
    ecs.stop_task(cluster=cluster, task=task)
    assert held.ends() == ""


def test_sessions_end_with_the_engine(own_engine: Engine) -> None:
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    task = start(ecs, "c", "web")
    held, waiting = (execute(ecs, "c", task)["session"] for _ in range(2))
    client = Held(held)
    client.sees(b"imagined")
    own_engine.stop()
    assert "shut down" in client.ends()
    own_engine.start()
    assert "opens no session" in refusal(waiting)


def test_killed_engine_cuts_its_sessions_off(own_engine: Engine) -> None:
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    held = Held(execute(ecs, "c", start(ecs, "c", "web"))["session"])
    held.sees(b"imagined")
    own_engine.kill()
    with pytest.raises(SessionError, match="cut off"):
        held.ends()
