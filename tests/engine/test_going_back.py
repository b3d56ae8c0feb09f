"""kaiun rollback and releases where no history says anything: ECS's own memory has to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_app import App, Yaml, config, imagined, work_tree

from kaiun.local import process
from kaiun.local.home import engine_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with imagined(tmp_path_factory.mktemp("home")) as root:
        yield root


@pytest.fixture
def app(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> App:
    return work_tree(tmp_path, monkeypatch, capsys)


@pytest.fixture
def elsewhere(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """An app for an environment that is not local: nobody keeps a history for it."""
    for name, value in app.json("local", "env").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAIUN_ENVIRONMENT", "elsewhere")
    return app


def two(name: str, version: str) -> Yaml:
    """Return a kaiun.yml of a worker and a mailer, of which `version` changes the worker."""
    given = config(name, {"v": version})
    given["environments"] = {"elsewhere": {"provision": True}}
    mailer = given["processes"]["worker"] | {"count": 1}
    mailer["task_definition"] = {"containerDefinitions": [{"name": "mailer"}]}
    given["processes"]["mailer"] = mailer
    return given


def runs(app: App) -> list[str]:
    return [item["task_definition"].rpartition("-")[2] for item in app.json("status")]


def test_without_a_state_bucket_services_go_back_by_what_ecs_remembers(elsewhere: App) -> None:
    app = elsewhere
    for version in ("1", "2", "3"):
        app.commit(two("forgetful", version))
        assert app.kaiun("deploy") == 0, app.err
    assert runs(app) == ["worker:3", "mailer:1"]
    assert app.kaiun("rollback") == 0, app.err
    assert "no history is kept: going by the deployments that ECS remembers" in app.err
    assert runs(app) == ["worker:2", "mailer:1"]
    assert app.kaiun("rollback") == 0, app.err
    assert runs(app) == ["worker:1", "mailer:1"]
    assert app.kaiun("rollback") == 2
    assert "no earlier good release" in app.err

    third, second, first = app.json("releases")
    assert [r["source"] for r in (third, second, first)] == ["ecs"] * 3
    assert [r["result"] for r in (third, second, first)] == ["deployed"] * 3
    assert set(second["task_definitions"]) == {"worker", "mailer"}
    assert app.kaiun("rollback", third["id"]) == 0, app.err
    assert runs(app) == ["worker:3", "mailer:1"]


def test_a_release_that_failed_is_not_gone_back_to(elsewhere: App) -> None:
    app = elsewhere
    app.commit(two("unlucky", "1"))
    assert app.kaiun("deploy") == 0, app.err
    bad = two("unlucky", "2")
    bad["processes"]["worker"]["task_definition"]["containerDefinitions"][0]["dockerLabels"] = {
        "kaiun.null.exit": "1"
    }
    app.commit(bad)
    assert app.kaiun("deploy") == 3, app.err
    app.commit(two("unlucky", "3"))
    assert app.kaiun("deploy") == 0, app.err
    assert [r["result"] for r in app.json("releases")] == ["deployed", "rolled back", "deployed"]
    assert app.kaiun("rollback") == 0, app.err
    assert runs(app) == ["worker:1", "mailer:1"]


def test_the_lost_history_of_a_restarted_local_ecs_is_made_up_for(app: App) -> None:
    for version in ("1", "2"):
        app.commit(two("restarted", version))
        assert app.kaiun("deploy") == 0, app.err
    process.down(engine_home())
    process.up(engine_home(), process.Ports(0, 0, 0), runtime="null")
    assert {r["source"] for r in app.json("releases")} == {"ecs"}
    app.commit(two("restarted", "3"))
    assert app.kaiun("deploy") == 0, app.err
    assert [r["source"] for r in app.json("releases")] == ["history", "ecs", "ecs"]
    assert app.kaiun("rollback") == 0, app.err
    assert "does not reach back that far" in app.err
    assert runs(app) == ["worker:2", "mailer:1"]
