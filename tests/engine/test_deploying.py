"""The command line against a real engine with imagined containers: deploys good and bad."""

from __future__ import annotations

from support.cli_app import App, Yaml, config
from support.engine import until


def test_a_first_deploy_then_nothing_then_a_change_then_back(app: App) -> None:
    app.commit(config("first"))
    assert app.kaiun("deploy") == 0, app.err
    assert "API calls:" in app.err
    assert (app.worker()["running"], app.worker()["rollout"]) == (2, "COMPLETED")

    again = app.json("deploy")
    assert again["changed"] is False
    assert not {call for call in again["calls"] if not call.startswith(("ecs:Desc", "elbv2:Desc"))}

    app.commit(config("first", {"v": "2"}))
    assert app.kaiun("plan") == 0
    assert "update service first-local-worker" in app.out
    assert app.kaiun("deploy") == 0, app.err
    assert app.worker()["task_definition"] == "first-local-worker:2"

    assert app.kaiun("rollback") == 0, app.err
    assert app.worker()["task_definition"] == "first-local-worker:1"
    kinds = [(r["kind"], r["result"]) for r in app.json("releases")]
    assert kinds == [("rollback", "deployed"), ("deploy", "deployed"), ("deploy", "deployed")]


def test_a_crash_at_boot_is_told_and_rolled_back_without_stopping_what_ran(app: App) -> None:
    app.commit(config("crash"))
    assert app.kaiun("deploy") == 0, app.err
    before = app.worker()["since"]
    app.commit(config("crash", {"kaiun.null.exit": "3", "kaiun.null.log": "NameError at app.rb:3"}))
    assert app.kaiun("deploy") == 3, app.err
    assert "service crash-local-worker: task" in app.err
    assert "container worker, exit code 3" in app.err
    assert "| NameError at app.rb:3" in app.err
    assert "rolled back: worker" in app.err
    now = app.worker()
    assert (now["task_definition"], now["running"]) == ("crash-local-worker:1", 2)
    assert now["since"] == before
    assert now["rolled_back"] is True
    assert app.json("releases")[0]["result"] == "rolled back"


def test_a_first_deploy_that_fails_leaves_nothing_running_and_the_next_one_runs(app: App) -> None:
    app.commit(config("fresh", {"kaiun.null.exit": "1"}))
    assert app.kaiun("deploy") == 3, app.err
    assert "new, scaled to 0: worker" in app.err
    assert app.worker()["desired"] == 0
    app.commit(config("fresh"))
    assert app.kaiun("deploy") == 0, app.err
    assert app.worker()["running"] == 2


def test_a_first_deploy_of_a_daemon_that_fails_is_deleted_and_the_next_one_runs(app: App) -> None:
    daemon: Yaml = {"count": 1, "service": {"schedulingStrategy": "DAEMON"}}
    app.commit(config("demon", {"kaiun.null.exit": "1"}, **daemon))
    assert app.kaiun("deploy") == 3, app.err
    assert "demon-local-worker is new, nothing to go back to: deleted" in app.err
    assert "new, deleted: worker" in app.err
    until(lambda: app.worker()["state"] == "MISSING")  # once its last task has ended
    app.commit(config("demon", **daemon))
    assert app.kaiun("deploy") == 0, app.err
    assert (app.worker()["state"], app.worker()["running"]) == ("ACTIVE", 1)
    app.commit(config("demon", {"kaiun.null.exit": "1"}, **daemon))
    assert app.kaiun("deploy") == 3, app.err
    assert "rolled back: worker" in app.err
    assert app.worker()["task_definition"] == "demon-local-worker:2"


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
    before = app.worker()
    app.commit(broken)
    assert app.kaiun("deploy") == 3
    assert "task migrate failed: exit code 7" in app.err
    assert "no such table" in app.err
    assert app.worker() == before
    assert app.kaiun("run", "migrate") == 7
    assert "no such table" in app.out


def test_scaling_stays_through_a_deploy(app: App) -> None:
    app.commit(config("scaling"))
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("scale", "worker=3") == 0, app.err
    assert app.worker()["running"] == 3
    app.commit(config("scaling", {"v": "2"}))
    assert app.kaiun("deploy") == 0, app.err
    assert app.worker()["running"] == 3
    assert app.kaiun("scale", "web=1") == 2


def test_logs_are_read_back(app: App) -> None:
    app.commit(config("logging", {"kaiun.null.log": "hello from the box"}))
    assert app.kaiun("deploy") == 0, app.err
    assert app.kaiun("logs", "worker") == 0
    assert app.out.count("hello from the box") == 2


def test_check_finds_nothing_wrong(app: App) -> None:
    app.commit(config("checking"))
    assert all(check["ok"] for check in app.json("check"))
