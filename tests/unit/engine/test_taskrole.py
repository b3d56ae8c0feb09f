"""Credentials of task roles: renewed in time, valid until their end, refused afterwards."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaiun.engine import identity, taskrole
from kaiun.engine.clock import Clock
from kaiun.engine.logbook import Logbook
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.sigv4 import Claim, SignatureError
from kaiun.engine.store import Store
from kaiun.engine.taskrole import TaskRoles
from kaiun.engine.world import World

ID = "0c2b7f3e-0000-4000-8000-000000000001"
ROLE = "arn:aws:iam::123456789012:role/path/web"
ANSWER = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    "<Credentials><AccessKeyId>ASIA{n}</AccessKeyId><SecretAccessKey>secret{n}</SecretAccessKey>"
    "<SessionToken>token{n}</SessionToken><Expiration>x</Expiration></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>"
)


@dataclass
class Watch:
    """The machine's clock."""

    time: float = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Sts:
    """The side services' STS, at the wire."""

    status: int = 200
    asked: list[Mapping[str, str]] = field(default_factory=list)

    async def send(
        self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        assert (service, method, path) == ("sts", "POST", "/")
        self.asked.append(dict(urllib.parse.parse_qsl(body.decode())))
        return self.status, ANSWER.format(n=len(self.asked)).encode()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def world(tmp_path: Path, watch: Watch) -> Iterator[World]:
    store = Store(tmp_path / "state.db")
    world = World(store, identity.recall(store), Logbook(store), clock=Clock(machine=watch))
    taskrole.grant(world, "task-1", ROLE, ID)
    yield world
    store.close()


def ask(roles: TaskRoles) -> dict[str, str]:
    answer = asyncio.run(roles.credentials(ID))
    assert answer is not None
    found: dict[str, str] = json.loads(answer)
    return found


def claim(access_key: str, service: str = "ecs") -> Claim:
    return Claim(access_key, "20260101", "us-east-1", service, "20260101T000000Z", "host", "0")


def test_role_is_assumed_in_this_account_under_the_tasks_name(world: World) -> None:
    sts = Sts()
    found = ask(TaskRoles(world, sts))  # type: ignore[arg-type]
    assert found == {
        "RoleArn": ROLE,
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret1",
        "Token": "token1",
        "Expiration": "1970-01-12T19:46:40Z",
    }
    assert sts.asked[0]["RoleArn"] == "arn:aws:iam::000000000000:role/path/web"
    assert sts.asked[0]["RoleSessionName"] == "task-1"


def test_keys_are_renewed_before_their_end_and_the_old_ones_live_on(
    world: World, watch: Watch
) -> None:
    sts = Sts()
    roles = TaskRoles(world, sts)  # type: ignore[arg-type]
    ask(roles)
    watch.time += taskrole.LIFETIME_S - taskrole.RENEW_S - 1
    assert ask(roles)["AccessKeyId"] == "ASIA1"
    watch.time += 2
    assert ask(roles)["AccessKeyId"] == "ASIA2"
    assert taskrole.secret_of(world, claim("ASIA1"), "token1") == "secret1"
    watch.time += taskrole.RENEW_S
    with pytest.raises(SignatureError) as expired:
        taskrole.secret_of(world, claim("ASIA1"), "token1")
    assert expired.value.kind == "expired-token"
    assert taskrole.secret_of(world, claim("ASIA2"), "token2") == "secret2"


def test_renewed_keys_do_not_gather(world: World, watch: Watch) -> None:
    roles = TaskRoles(world, Sts())  # type: ignore[arg-type]
    for _ in range(5):
        ask(roles)
        watch.time += taskrole.LIFETIME_S
    assert len(list(world.sessions.values())) <= 2


@pytest.mark.parametrize(("key", "token"), [("ASIA1", "token2"), ("ASIA9", "token1")])
def test_keys_of_nobody_are_unknown(world: World, key: str, token: str) -> None:
    ask(TaskRoles(world, Sts()))  # type: ignore[arg-type]
    with pytest.raises(SignatureError) as unknown:
        taskrole.secret_of(world, claim(key), token)
    assert unknown.value.kind == "unknown-key"


def test_sts_that_does_not_answer_is_an_error_and_no_credentials(world: World) -> None:
    roles = TaskRoles(world, Sts(status=500))  # type: ignore[arg-type]
    with pytest.raises(ApiError) as failed:
        asyncio.run(roles.credentials(ID))
    assert failed.value.status == 500


def test_unknown_id_has_no_credentials(world: World) -> None:
    assert asyncio.run(TaskRoles(world, Sts()).credentials("none")) is None  # type: ignore[arg-type]


def test_ended_task_leaves_no_keys(world: World) -> None:
    ask(TaskRoles(world, Sts()))  # type: ignore[arg-type]
    taskrole.revoke(world, {"_": {"credentials": ID}})
    assert [*world.sessions.values(), *world.credentials.values()] == []


@pytest.mark.parametrize(
    ("service", "target", "allowed"),
    [
        ("ecs", "AmazonEC2ContainerServiceV20141113.RunTask", True),
        ("ecs", "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition", False),
        ("ecs", "AmazonEC2ContainerServiceV20141113.ExecuteCommand", False),
        ("s3", "", True),
        ("kaiun", "", False),
        ("batch", "", False),
    ],
)
def test_keys_of_a_task_give_it_no_container_of_its_making(
    world: World, service: str, target: str, allowed: bool
) -> None:
    ask(TaskRoles(world, Sts()))  # type: ignore[arg-type]
    own = claim(world.identity.access_key, service)
    taskrole.check_allowed(world, own, target)
    if allowed:
        taskrole.check_allowed(world, claim("ASIA1", service), target)
    else:
        with pytest.raises(ApiError, match="not authorized"):
            taskrole.check_allowed(world, claim("ASIA1", service), target)
