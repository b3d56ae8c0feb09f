"""The command line against a real engine with imagined containers: deploys good and bad."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaiun.cli.main import run
from kaiun.local import process
from kaiun.local.home import engine_home

Yaml = dict[str, Any]


@dataclass
class App:
    """A git work tree with a kaiun.yml, and kaiun run in it."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    err: str = ""

    def commit(self, config: Yaml) -> None:
        (self.root / "kaiun.yml").write_text(yaml.safe_dump(config, sort_keys=False))
        for command in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "a change"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)

    def kaiun(self, *arguments: str) -> int:
        self.capsys.readouterr()
        code = run([*arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *arguments: str) -> Any:
        assert self.kaiun(*arguments, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One engine for all tests here; each test has an app of its own."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAIUN_HOME", str(root))
        patch.setenv("KAIUN_STEADY_S", "0.1")
        process.up(engine_home(), process.Ports(0, 0, 0), runtime="null")
        yield root
        process.down(engine_home())


@pytest.fixture
def app(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> App:
    for name, value in {
        "KAIUN_HOME": str(home),
        "GIT_AUTHOR_NAME": "T",
        "GIT_AUTHOR_EMAIL": "t@example.com",
        "GIT_COMMITTER_NAME": "T",
        "GIT_COMMITTER_EMAIL": "t@example.com",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    return App(tmp_path, capsys)


def config(name: str, labels: Yaml | None = None, **changes: Any) -> Yaml:
    """Return a kaiun.yml of one worker; `labels` tell the imagined container what to do."""
    container = {"name": "worker", "dockerLabels": labels or {"v": "1"}}
    worker = {
        "image": "localhost:1/app@sha256:" + "0" * 64,
        "count": 2,
        "stop_timeout": 2,
        "task_definition": {"containerDefinitions": [container]},
        **changes,
    }
    return {
        "app": name,
        "image": {"repository": "localhost:1/app"},
        "logs": {"driver": "json-file"},
        "processes": {"worker": worker},
    }


def worker(app: App) -> Any:
    return app.json("status")[0]


def test_a_first_deploy_then_nothing_then_a_change_then_back(app: App) -> None:
    app.commit(config("first"))
    assert app.kaiun("deploy") == 0, app.err
    assert "API calls:" in app.err
    assert (worker(app)["running"], worker(app)["rollout"]) == (2, "COMPLETED")

    again = app.json("deploy")
    assert again["changed"] is False
    assert not {call for call in again["calls"] if not call.startswith(("ecs:Desc", "elbv2:Desc"))}

    app.commit(config("first", {"v": "2"}))
    assert app.kaiun("plan") == 0
    assert "update service first-local-worker" in app.out
    assert app.kaiun("deploy") == 0, app.err
    assert worker(app)["task_definition"] == "first-local-worker:2"

    assert app.kaiun("rollback") == 0, app.err
    assert worker(app)["task_definition"] == "first-local-worker:1"
    kinds = [(r["kind"], r["result"]) for r in app.json("releases")]
    assert kinds == [("rollback", "deployed"), ("deploy", "deployed"), ("deploy", "deployed")]


def test_a_crash_at_boot_is_told_and_rolled_back_without_stopping_what_ran(app: App) -> None:
    app.commit(config("crash"))
    assert app.kaiun("deploy") == 0, app.err
    before = worker(app)["since"]
    app.commit(config("crash", {"kaiun.null.exit": "3", "kaiun.null.log": "NameError at app.rb:3"}))
    assert app.kaiun("deploy") == 3, app.err
    assert "service crash-local-worker: task" in app.err
    assert "container worker, exit code 3" in app.err
    assert "| NameError at app.rb:3" in app.err
    assert "rolled back: worker" in app.err
    now = worker(app)
    assert (now["task_definition"], now["running"]) == ("crash-local-worker:1", 2)
    assert now["since"] == before
    assert now["rolled_back"] is True
    assert app.json("releases")[0]["result"] == "rolled back"


def test_a_first_deploy_that_fails_leaves_nothing_running_and_the_next_one_runs(app: App) -> None:
    app.commit(config("fresh", {"kaiun.null.exit": "1"}))
    assert app.kaiun("deploy") == 3, app.err
    assert "new, scaled to 0: worker" in app.err
    assert worker(app)["desired"] == 0
    app.commit(config("fresh"))
    assert app.kaiun("deploy") == 0, app.err
    assert worker(app)["running"] == 2


def test_an_image_that_does_not_exist_is_named(app: App) -> None:
    app.commit(config("pull"))
    assert app.kaiun("deploy") == 0, app.err
    app.commit(config("pull", {"kaiun.null.pull_error": "manifest unknown"}))
    assert app.kaiun("deploy") == 3, app.err
    assert "CannotPullContainerError: manifest unknown" in app.err


def test_a_failing_task_stops_the_deploy_before_any_service_changed(app: App) -> None:
    broken = config("migrating")
    broken["tasks"] = {
        "migrate": {
            "command": "rake db:migrate",
            "run": "before-deploy",
            "image": "localhost:1/app@sha256:" + "0" * 64,
            "task_definition": {
                "containerDefinitions": [
                    {
                        "name": "migrate",
                        "dockerLabels": {
                            "kaiun.null.exit": "7",
                            "kaiun.null.log": "no such table",
                        },
                    }
                ]
            },
        }
    }
    app.commit(config("migrating"))
    assert app.kaiun("deploy") == 0, app.err
    before = worker(app)
    app.commit(broken)
    assert app.kaiun("deploy") == 3
    assert "task migrate failed: exit code 7" in app.err
    assert "no such table" in app.err
    assert worker(app) == before
    assert app.kaiun("run", "migrate") == 7
    assert "no such table" in app.out


def test_scaling_stays_through_a_deploy(app: App) -> None:
    app.commit(config("scaling"))
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("scale", "worker=3") == 0, app.err
    assert worker(app)["running"] == 3
    app.commit(config("scaling", {"v": "2"}))
    assert app.kaiun("deploy") == 0, app.err
    assert worker(app)["running"] == 3
    assert app.kaiun("scale", "web=1") == 2


def test_logs_are_read_back(app: App) -> None:
    app.commit(config("logging", {"kaiun.null.log": "hello from the box"}))
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("logs", "worker") == 0
    assert app.out.count("hello from the box") == 2


def test_check_finds_nothing_wrong(app: App) -> None:
    app.commit(config("checking"))
    assert all(check["ok"] for check in app.json("check"))
