"""Rollouts in a row, with the engine killed again and again while they are under way.

KAIUN_SOAK_ROLLOUTS (15) says how many. What is drawn is the same in every run.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from contextlib import closing
from functools import partial
from typing import Any

from support.engine import Engine, container, null, register, until, wait_rollout

ROLLOUTS = int(os.environ.get("KAIUN_SOAK_ROLLOUTS", "15"))
TASKS = 4
LONGEST_S = 0.4  # of a rollout before the engine is killed in it
CHANCE = 0.5  # of a rollout with a kill


def boxes(engine: Engine) -> list[str]:
    """Return the task of every container that the runtime has, one an entry."""
    with closing(sqlite3.connect(engine.home / "null.db")) as db:
        return [json.loads(body)["task"] for (body,) in db.execute("SELECT body FROM box")]


def tasks(ecs: Any) -> list[str]:
    """Return the ids of the tasks that are to run."""
    return [arn.rpartition("/")[2] for arn in ecs.list_tasks(cluster="c")["taskArns"]]


def are_the_same(engine: Engine, ecs: Any) -> bool:
    return sorted(boxes(engine)) == sorted(tasks(ecs))


def test_rollouts_survive_kills_without_orphans_and_doubles(
    own_engine: Engine, family: str
) -> None:
    choose = random.Random(5)
    ecs = own_engine.client("ecs")
    ecs.create_cluster(clusterName="c")
    labels = null(start_ms=60, stop_ms=40)
    first = register(ecs, family, container(dockerLabels=labels))
    ecs.create_service(cluster="c", serviceName="web", taskDefinition=first, desiredCount=TASKS)
    wait_rollout(ecs, "c", "web")
    for _ in range(ROLLOUTS):
        definition = register(ecs, family, container(dockerLabels=labels))
        ecs.update_service(cluster="c", service="web", taskDefinition=definition)
        if choose.random() < CHANCE:
            time.sleep(choose.random() * LONGEST_S)  # when, not whether: no condition to wait for
            own_engine.kill()
            own_engine.start()
            ecs.close()
            ecs = own_engine.client("ecs")
        service = wait_rollout(ecs, "c", "web")
        assert service["taskDefinition"] == definition
        assert service["runningCount"] == TASKS
        until(partial(are_the_same, own_engine, ecs))
        assert len(set(tasks(ecs))) == TASKS
    assert "Traceback" not in own_engine.log()
    ecs.close()
