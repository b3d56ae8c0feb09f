"""kaiun rollback and releases where no history says anything: ECS's own memory has to do."""

from __future__ import annotations

from collections.abc import Mapping

import boto3
import pytest
from support.cli_app import App, Yaml, config


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


def test_a_lost_history_is_made_up_for(app: App) -> None:
    for version in ("1", "2"):
        app.commit(two("lost", version))
        assert app.kaiun("deploy") == 0, app.err
    empty_bucket(app.json("local", "env"))
    assert {r["source"] for r in app.json("releases")} == {"ecs"}
    app.commit(two("lost", "3"))
    assert app.kaiun("deploy") == 0, app.err
    assert [r["source"] for r in app.json("releases")] == ["history", "ecs", "ecs"]
    assert app.kaiun("rollback") == 0, app.err
    assert "does not reach back that far" in app.err
    assert runs(app) == ["worker:2", "mailer:1"]


def empty_bucket(env: Mapping[str, str]) -> None:
    """Delete everything in the state bucket of the local ECS."""
    s3 = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    for found in s3.list_objects_v2(Bucket="kaiun-state").get("Contents", []):
        s3.delete_object(Bucket="kaiun-state", Key=found["Key"])
    s3.close()
