"""kaiun deploy where kaiun.yml asks ECS for a deployment that shifts traffic."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from support.cli_app import App, Yaml, config
from support.engine import describe, until
from support.shifting import build_road, wait_paused

from kaiun.cli.main import run
from kaiun.local.home import engine_home, read_env

INVITATION = re.compile(r"--service-deployment-arn (\S+) --hook-id (\S+)")
PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
CANARY = {
    "strategy": "CANARY",
    "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 0},
    "lifecycleHooks": [PAUSE],
}


def client(service: str) -> Any:
    env = read_env(engine_home())
    return boto3.client(
        service,
        endpoint_url=env.endpoint,
        region_name=env.region,
        aws_access_key_id=env.access_key,
        aws_secret_access_key=env.secret_key,
    )


def shifting(name: str, labels: Yaml | None = None, **service: Any) -> Yaml:
    made = config(name, labels, service=service)
    container = made["processes"]["worker"]["task_definition"]["containerDefinitions"][0]
    container["portMappings"] = [{"containerPort": 80}]
    return made


@contextmanager
def somebody(name: str, *actions: str) -> Iterator[list[str]]:
    """Answer the pauses of a service's next deployment, one after the other, in a thread."""
    ecs = client("ecs")
    cluster, service = name, f"{name}-local-worker"
    before = describe(ecs, cluster, service)["currentServiceDeployment"]
    answered: list[str] = []

    def current() -> str | None:
        arn = str(describe(ecs, cluster, service)["currentServiceDeployment"])
        return arn if arn != before else None

    def answer() -> None:
        arn = until(current)
        assert arn is not None
        for action in actions:
            hook = wait_paused(ecs, arn, after=answered[-1] if answered else "")["hookId"]
            ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action=action)
            answered.append(hook)

    thread = threading.Thread(target=answer)
    thread.start()
    yield answered
    thread.join()


def test_a_blue_green_deployment_is_followed_to_its_end(app: App) -> None:
    rules = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}
    app.commit(shifting("blue", deploymentConfiguration=rules))
    assert app.kaiun("deploy") == 0, app.err
    app.commit(shifting("blue", {"v": "2"}, deploymentConfiguration=rules))
    assert app.kaiun("deploy") == 0, app.err
    now = app.worker()
    assert (now["task_definition"], now["running"]) == ("blue-local-worker:2", 2)
    assert app.json("deploy")["changed"] is False


@pytest.fixture
def canary(app: App, request: pytest.FixtureRequest) -> tuple[App, str, Yaml]:
    """A deployed service whose deployments are canaries; the app, its name, its `service:`."""
    name = f"canary-{len(request.node.name)}"
    first = 26_000 + 2 * len(request.node.name)
    road = build_road(client("elbv2"), name, (first, first + 1))
    service: Yaml = {
        "loadBalancers": road.load_balancers(container="worker"),
        "deploymentConfiguration": {**CANARY, "lifecycleHooks": []},
    }
    app.commit(shifting(name, **service))
    assert app.kaiun("deploy") == 0, app.err
    return app, name, {**service, "deploymentConfiguration": CANARY}


def test_a_canary_that_pauses_says_so_and_goes_on_when_somebody_says_so(
    canary: tuple[App, str, Yaml],
) -> None:
    app, name, service = canary
    app.commit(shifting(name, {"v": "2"}, **service))
    codes: list[int] = []
    deploying = threading.Thread(target=lambda: codes.append(run(["deploy"])))
    deploying.start()
    said = ""

    def invited() -> tuple[str, str] | None:
        nonlocal said
        said += app.capsys.readouterr().err
        found = INVITATION.findall(said)
        return found[-1] if found and found[-1][1] not in answered else None

    answered: list[str] = []
    for share in ("0", "5"):
        arn, hook = until(invited) or ("", "")
        assert f"{name}-local-worker pauses at PRE_PRODUCTION_TRAFFIC_SHIFT, {share} %" in said
        client("ecs").continue_service_deployment(serviceDeploymentArn=arn, hookId=hook)
        answered.append(hook)
    deploying.join()
    assert codes == [0]
    now = app.worker()
    assert (now["task_definition"], now["running"]) == (f"{name}-local-worker:2", 2)
    assert app.json("deploy")["changed"] is False


def test_a_canary_that_is_sent_back_is_a_failed_deploy(canary: tuple[App, str, Yaml]) -> None:
    app, name, service = canary
    before = app.worker()["since"]
    app.commit(shifting(name, {"v": "2"}, **service))
    with somebody(name, "CONTINUE", "ROLLBACK"):
        assert app.kaiun("deploy") == 3, app.err
    assert "lifecycle hook FAILED at PRE_PRODUCTION_TRAFFIC_SHIFT" in app.err
    assert "rolled back: worker" in app.err
    now = app.worker()
    assert (now["task_definition"], now["running"]) == (f"{name}-local-worker:1", 2)
    assert now["since"] == before


def test_a_canary_that_crashes_is_told_as_any_other(canary: tuple[App, str, Yaml]) -> None:
    app, name, service = canary
    labels = {"kaiun.null.exit": "3", "kaiun.null.log": "NameError at app.rb:3"}
    app.commit(shifting(name, labels, **service))
    assert app.kaiun("deploy") == 3, app.err
    assert "| NameError at app.rb:3" in app.err
    assert "rolled back: worker" in app.err
    assert app.worker()["task_definition"] == f"{name}-local-worker:1"
