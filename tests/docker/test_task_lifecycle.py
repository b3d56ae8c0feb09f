"""A task from its containers' order to its end, with real containers, as the API tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.containers import docker
from support.engine import Engine, until
from support.images import registry_process
from support.real_tasks import CLUSTER, Ran, shell, start

pytestmark = pytest.mark.docker

FOREVER = "trap 'exit 7' TERM; while :; do sleep 0.05; done"
HEALTHY = {"healthCheck": {"command": ["CMD-SHELL", "test -e /well"], "interval": 5}}
NEVER = "its dependency first (HEALTHY) was not ready within its startTimeout of 2 s"
# condition, script of the first container, its members, and why the second never starts
ORDERS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "START": ("START", FOREVER, {}, ""),
    "COMPLETE, though it failed": ("COMPLETE", "exit 5", {}, ""),
    "SUCCESS": ("SUCCESS", "exit 0", {}, ""),
    "no SUCCESS": ("SUCCESS", "exit 5", {}, "its dependency first (SUCCESS) exited with code 5"),
    "HEALTHY": ("HEALTHY", f"touch /well; {FOREVER}", HEALTHY, ""),
    "HEALTHY too late": ("HEALTHY", FOREVER, {**HEALTHY, "startTimeout": 2}, NEVER),
}  # fmt: skip


@pytest.fixture(scope="module")
def ordered(real: Engine, image: str) -> dict[str, Ran]:
    """A task of each order, all at once: `app` waits for `first`."""
    started = {}
    for number, (what, (condition, script, fields, _)) in enumerate(ORDERS.items()):
        first = shell(image, script, "first", essential=False, **fields)
        after = [{"containerName": "first", "condition": condition}]
        app = shell(image, "echo went on", dependsOn=after)
        started[what] = start(real, f"order-{number}", app, first)
    return started


@pytest.mark.parametrize("what", ORDERS)
def test_container_waits_for_what_it_depends_on(ordered: dict[str, Ran], what: str) -> None:
    why = ORDERS[what][3]
    if not why:
        assert ordered[what].said() == ["went on"]
        return
    stopped = ordered[what].stopped()
    assert (stopped["stopCode"], ordered[what].lines()) == ("TaskFailedToStart", [])
    assert stopped["stoppedReason"].endswith(why)


def test_containers_stop_in_the_reverse_order(real: Engine, image: str, tmp_path: Path) -> None:
    """The one that others need learns of the end when they have gone."""
    tell = "trap 'echo {0} >> /data/order; {1} exit 0' TERM; while :; do sleep 0.05; done"
    data = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}
    members: dict[str, Any] = {**data, "stopTimeout": 10}
    db = shell(image, tell.format("db", ""), "db", **members)
    slow = "sleep 0.3; echo app has gone >> /data/order;"
    after = [{"containerName": "db", "condition": "START"}]
    app = shell(image, tell.format("app", slow), dependsOn=after, **members)
    volumes = [{"name": "data", "host": {"sourcePath": str(tmp_path)}}]
    ran = start(real, "reverse", app, db, volumes=volumes)
    running(real, ran)
    real.client("ecs").stop_task(cluster=CLUSTER, task=ran.arn, reason="enough")
    assert ran.stopped()["stoppedReason"] == "enough"
    assert (tmp_path / "order").read_text().splitlines() == ["app", "app has gone", "db"]


def running(engine: Engine, ran: Ran) -> None:
    ecs = engine.client("ecs")

    def all_run() -> bool:
        task = ecs.describe_tasks(cluster=CLUSTER, tasks=[ran.arn])["tasks"][0]
        return {c["lastStatus"] for c in task["containers"]} == {"RUNNING"}

    until(all_run)


def test_essential_container_ends_the_others_and_another_does_not(real: Engine, image: str) -> None:
    helper = shell(image, "exit 3", "helper", essential=False)
    other = shell(image, FOREVER, "other")
    wait = [{"containerName": "helper", "condition": "COMPLETE"}]
    wait += [{"containerName": "other", "condition": "START"}]
    app = shell(image, "sleep 0.2; exit 4", dependsOn=wait)
    stopped = start(real, "essential", app, other, helper).stopped()
    codes = {c["name"]: c["exitCode"] for c in stopped["containers"]}
    assert codes == {"app": 4, "other": 7, "helper": 3}
    assert stopped["stoppedReason"] == "Essential container in task exited"


def test_deaf_container_is_killed_after_its_stop_timeout(real: Engine, image: str) -> None:
    deaf = shell(image, "trap '' TERM; echo up; while :; do sleep 0.05; done", stopTimeout=2)
    ran = start(real, "deaf", deaf)
    until(lambda: ran.lines() == ["up"])
    real.client("ecs").stop_task(cluster=CLUSTER, task=ran.arn)
    assert ran.stopped()["containers"][0]["exitCode"] == 137


def test_memory_that_runs_out_is_told(real: Engine, image: str) -> None:
    greedy = shell(image, "x=x; while :; do x=$x$x$x$x; done", memory=16)
    stopped = start(real, "greedy", greedy).stopped()
    (container,) = stopped["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert stopped["stoppedReason"].startswith("OutOfMemoryError")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"image": "localhost:9/none:1"}, "CannotPullContainerError: Error response from daemon"),
        ({"entryPoint": ["/no/such"]}, "CannotStartContainerError: Error response from daemon"),
        ({"dockerSecurityOptions": ["x"]}, "CannotCreateContainerError: Error response from dae"),
    ],
)
def test_task_that_cannot_start_says_why(
    real: Engine, image: str, fields: dict[str, Any], said: str
) -> None:
    stopped = start(real, "cannot", {**shell(image, "true"), **fields}).stopped()
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith(said)


def test_health_check_of_the_image_is_no_health_check(real: Engine, image: str) -> None:
    tag = "kaiun-test-checking:1"
    made = docker("create", image, "true")
    docker("commit", "--change", "HEALTHCHECK --interval=1s CMD false", made, tag)
    docker("rm", made)
    try:
        stopped = start(real, "checking", shell(tag, "sleep 1.5")).stopped()
        assert stopped["containers"][0]["healthStatus"] == "UNKNOWN"
        assert stopped["containers"][0]["exitCode"] == 0
    finally:
        docker("rmi", "-f", tag)


# htpasswd's line for user with "hidden-word" (bcrypt, cost 4)
PASSWORDS = "user:$2b$04$0vzNFlcHamyEDwKImGP4QuoDsTGsMHQHP6Hkf4vtxLGJ0o50XotJG\n"


@pytest.fixture
def guarded(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An image that no longer is here, in a registry that asks for a password."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-settings"))
    (tmp_path / "passwords").write_text(PASSWORDS)
    guard = f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/passwords}}}}\n"
    with registry_process(tmp_path, guard) as host:
        tag = f"{host}/guarded:1"
        docker("tag", image, tag)
        docker("login", "-u", "user", "-p", "hidden-word", host)
        try:
            docker("push", "-q", tag)
        finally:
            docker("logout", host)
            docker("rmi", tag)
        yield tag
        docker("rmi", "-f", tag)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("hidden-word", ""),
        ("wrong", "CannotPullContainerError: Error response from daemon: "),
    ],
)
def test_credentials_of_a_repository_are_those_of_its_secret(
    real: Engine, guarded: str, password: str, why: str
) -> None:
    secrets = real.client("secretsmanager")
    text = f'{{"username": "user", "password": "{password}"}}'
    arn = secrets.create_secret(Name=f"login-{password}", SecretString=text)["ARN"]
    app = shell(guarded, "echo pulled", repositoryCredentials={"credentialsParameter": arn})
    ran = start(real, "guarded", app)
    if why:
        assert ran.stopped()["stoppedReason"].startswith(why)
    else:
        assert ran.said() == ["pulled"]
    assert password not in real.log()


def test_credentials_that_are_no_login_are_an_error_without_their_value(
    real: Engine, image: str
) -> None:
    secrets = real.client("secretsmanager")
    secrets.create_secret(Name="no-login", SecretString="hidden-text")
    app = shell(image, "true", repositoryCredentials={"credentialsParameter": "no-login"})
    reason = start(real, "no-login", app).stopped()["stoppedReason"]
    assert reason == (
        "ResourceInitializationError: unable to pull secrets or registry auth: the secret "
        "no-login must have the keys username and password"
    )
