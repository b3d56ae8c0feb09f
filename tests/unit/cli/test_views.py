"""What verbs print from what they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.ecs_story import T0, Story, deployment, event, follow, good, old

from kaiun.cli.console import Console
from kaiun.cli.deploy import show
from kaiun.cli.rolling import Rolling
from kaiun.cli.run import _choose
from kaiun.cli.scale import _count
from kaiun.deploy.events import Did, Note, Rolled, StageBegan, TaskLogged
from kaiun.deploy.rollout import begin
from kaiun.deploy.ship import Report
from kaiun.errors import UsageError

REPORT = Report(
    "R1", "abc", True, {"image": 1.25, "services": 20.0}, {"ecs:DescribeServices": 7},
    ("http://localhost:8080",),
)  # fmt: skip


def test_a_deploy_ends_with_stages_and_calls(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(), REPORT)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "API calls: 7" in shown.err
    assert "services" in shown.err
    assert "http://localhost:8080" in shown.err


def test_a_deploy_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(json=True), REPORT)
    document = json.loads(capsys.readouterr().out)
    assert document["api_calls"] == 7
    assert document["stages"]["services"] == 20.0


def test_no_change_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(), Report("R1", "abc", False))
    assert "nothing to do" in capsys.readouterr().err


def test_elsewhere_than_on_a_terminal_a_rollout_is_told_in_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = Story(
        [(0, [deployment("ecs-svc/2", 2, 0, 2), old()])],
        [event(0.0, "has started 2 tasks: (task a) (task b).")],
    )
    progress = begin(follow(), story.at(1))
    with Rolling(Console()) as rolling:
        rolling(StageBegan("services"))
        rolling(Did("updated service web"))
        rolling(Rolled((progress,), 1.0))
        rolling(Rolled((begin(follow(), good().at(0)),), 1.0))
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "services …",
        "  updated service web",
        "  web has started 2 tasks: (task a) (task b).",
        "  web: old 2, new 0, pending 2, healthy 0 of 2 (in progress)",
    ]


def test_lines_of_a_task_and_notes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    from kaiun.aws.types import LogEvent

    with Rolling(Console()) as rolling:
        rolling(TaskLogged("migrate", (LogEvent(int(T0) * 1000, "== migrating\n"),)))
        rolling(Note("careful", warning=True))
    shown = capsys.readouterr().err
    assert "migrate | == migrating" in shown
    assert "careful" in shown


def test_counts_are_read() -> None:
    assert _count("web=3") == ("web", 3)
    for text in ("web", "=3", "web=-1", "web=x"):
        with pytest.raises(UsageError):
            _count(text)


def test_what_to_run_is_chosen_from_tasks_and_processes() -> None:
    from kaiun.config import Config
    from kaiun.config.schema import Image, Process, Task

    config = Config.model_construct(
        environment="local",
        is_local=True,
        root=Path(),
        app="shop",
        image=Image.model_construct(repository="x"),
        processes={
            "db": Process.model_validate({"image": "postgres:15"}),
            "web": Process.model_validate({}),
        },
        tasks={"migrate": Task.model_validate({"command": "rake"})},
    )
    assert _choose(config, None, ("migrate",)) == ("migrate", ())
    assert _choose(config, None, ("rails", "c")) == ("web", ("rails", "c"))
    assert _choose(config, "db", ("psql",)) == ("db", ("psql",))
    with pytest.raises(UsageError, match="no process 'nope'"):
        _choose(config, "nope", ("x",))
    with pytest.raises(UsageError, match="nothing to run"):
        _choose(config, None, ())
