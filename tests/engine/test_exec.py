"""kaiun exec where no session can be had, on a local ECS with imagined containers."""

from __future__ import annotations

import pytest
from support.cli_app import App, Yaml, config

ENABLED: Yaml = {"service": {"enableExecuteCommand": True}}
ROLE = {"roles": {"task": "arn:aws:iam::000000000000:role/task"}}


def test_imagined_container_says_that_nothing_runs_in_it(app: App) -> None:
    app.commit(config("exec-imagined", count=1, **ENABLED) | ROLE)
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("exec", "worker", "--", "echo", "hello") == 2
    assert "this container is imagined" in app.err
    assert app.out == ""


def test_missing_task_role_is_told_by_ecs(app: App) -> None:
    app.commit(config("exec-role", count=1, **ENABLED))
    assert app.kaiun("deploy") != 0
    assert "a valid taskRoleArn is not being used" in app.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--json"], "a session has no JSON"),
        (["-p", "web"], "no process 'web' in kaiun.yml"),
        (["worker"], "worker was never deployed to local"),
    ],
)
def test_what_cannot_be_is_told(app: App, words: list[str], problem: str) -> None:
    app.commit(config("exec-none"))
    assert app.kaiun("exec", *words) == 2
    assert problem in app.err


def test_service_without_ecs_exec_is_told_what_to_write(app: App) -> None:
    app.commit(config("exec-off", count=1))
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("exec") == 2
    assert "processes: {worker: {service: {enableExecuteCommand: true}}}" in app.err
