"""What a killed or stopped engine finds when it comes back."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

from support.engine import (
    Engine,
    container,
    describe,
    null,
    register,
    until,
    wait_rollout,
    wait_stopped,
)


def everything(engine: Engine) -> dict[str, Any]:
    """Return what clients can see, without what differs from answer to answer."""
    ecs, elbv2 = engine.client("ecs"), engine.client("elbv2")
    tasks = sorted(ecs.list_tasks(cluster="c")["taskArns"])
    seen = {
        "clusters": ecs.describe_clusters(clusters=["c"])["clusters"],
        "services": ecs.describe_services(cluster="c", services=["web"])["services"],
        "tasks": ecs.describe_tasks(cluster="c", tasks=tasks)["tasks"],
        "definitions": ecs.list_task_definitions()["taskDefinitionArns"],
        "deployments": ecs.list_service_deployments(cluster="c", service="web"),
        "groups": elbv2.describe_target_groups()["TargetGroups"],
    }
    seen["deployments"].pop("ResponseMetadata")
    return seen


def boxes(engine: Engine) -> int:
    with sqlite3.connect(engine.home / "null.db") as db:
        return int(db.execute("SELECT count(*) FROM box").fetchone()[0])


def deploy(engine: Engine, family: str, count: int = 3, **labels: object) -> Any:
    ecs = engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, family, container(dockerLabels=null(**labels)))
    ecs.create_service(cluster="c", serviceName="web", taskDefinition=family, desiredCount=count)
    return ecs


def test_killed_engine_comes_back_as_it_was(own_engine: Engine, family: str) -> None:
    ecs = deploy(own_engine, family)
    own_engine.client("elbv2").create_target_group(Name="web", Protocol="HTTP", Port=80)
    wait_rollout(ecs, "c", "web")
    before, keys = everything(own_engine), own_engine.env
    own_engine.kill()
    own_engine.start()
    assert own_engine.env == keys
    assert everything(own_engine) == before
    assert boxes(own_engine) == 3


def test_engine_killed_in_a_rollout_finishes_it(own_engine: Engine, family: str) -> None:
    ecs = deploy(own_engine, family)
    wait_rollout(ecs, "c", "web")
    second = register(ecs, family, container(dockerLabels=null(start_ms=200)))
    ecs.update_service(cluster="c", service="web", taskDefinition=second)
    own_engine.kill()
    own_engine.start()
    service = wait_rollout(own_engine.client("ecs"), "c", "web")
    assert service["taskDefinition"] == second
    until(lambda: boxes(own_engine) == 3)
    assert len(own_engine.client("ecs").list_tasks(cluster="c")["taskArns"]) == 3


def test_containers_of_unknown_tasks_are_removed(own_engine: Engine, family: str) -> None:
    ecs = deploy(own_engine, family, 2)
    wait_rollout(ecs, "c", "web")
    own_engine.kill()
    with sqlite3.connect(own_engine.home / "state.db") as db:
        (key,) = db.execute("SELECT min(key) FROM document WHERE kind = 'tasks'").fetchone()
        db.execute("DELETE FROM document WHERE kind = 'tasks' AND key = ?", (key,))
    own_engine.start()
    wait_rollout(own_engine.client("ecs"), "c", "web")
    until(lambda: boxes(own_engine) == 2)


def test_terminated_engine_leaves_containers_alone(own_engine: Engine, family: str) -> None:
    wait_rollout(deploy(own_engine, family), "c", "web")
    before = everything(own_engine)
    own_engine.stop()
    assert boxes(own_engine) == 3
    own_engine.start()
    assert everything(own_engine) == before


def test_shutdown_stops_containers_and_the_next_start_brings_them_back(
    own_engine: Engine, family: str
) -> None:
    wait_rollout(deploy(own_engine, family), "c", "web")
    old = set(own_engine.client("ecs").list_tasks(cluster="c")["taskArns"])
    admin(own_engine, "/_kaiun/shutdown")
    own_engine.process.wait(timeout=10)
    assert boxes(own_engine) == 0
    own_engine.start()
    ecs = own_engine.client("ecs")
    until(lambda: describe(ecs, "c", "web")["runningCount"] == 3)
    assert not old & set(ecs.list_tasks(cluster="c")["taskArns"])


def test_reset_forgets_everything_but_the_keys(own_engine: Engine, family: str) -> None:
    ecs = deploy(own_engine, family)
    wait_rollout(ecs, "c", "web")
    admin(own_engine, "/_kaiun/reset")
    assert ecs.list_clusters()["clusterArns"] == []
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    assert boxes(own_engine) == 0


def admin(engine: Engine, path: str) -> None:
    from kaiun.local.admin import post
    from kaiun.local.home import read_env

    post(read_env(engine.home), path, 10)


def test_nothing_is_left_of_a_task_that_is_stopped_while_it_starts(own_engine: Engine) -> None:
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, "slow", container(dockerLabels=null(start_ms=300)))
    task = ecs.run_task(cluster="c", taskDefinition="slow")["tasks"][0]["taskArn"]
    until(lambda: ecs.describe_tasks(cluster="c", tasks=[task])["tasks"][0].get("pullStoppedAt"))
    ecs.stop_task(cluster="c", task=task)
    stopped = wait_stopped(ecs, "c", task)
    begun_and_over = stopped["stoppedAt"] - stopped["pullStoppedAt"]
    assert begun_and_over >= timedelta(milliseconds=300)  # it did start, and was then removed
    own_engine.stop()
    assert boxes(own_engine) == 0
