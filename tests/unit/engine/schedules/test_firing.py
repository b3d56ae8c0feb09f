"""Every moment runs its tasks once, whenever the engine is killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaiun.engine import clock as clocks
from kaiun.engine import identity, operations  # noqa: F401  (registers the handlers)
from kaiun.engine.dispatch import perform
from kaiun.engine.logbook import Logbook
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules.firing import Firing
from kaiun.engine.schedules.rules import Rules
from kaiun.engine.store import Store
from kaiun.engine.world import World

START = 1_800_000_000.0
ROLE = "arn:aws:iam::000000000000:role/r"


class Local:
    """An engine without its loop, on a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.db"
        self.time = START
        self._open()
        self.ask("ecs", "CreateCluster", {"clusterName": "c"})
        self.define("job", memory=64)
        self.world.store.commit()

    def _open(self) -> None:
        store = Store(self._path)
        who = identity.recall(store)
        clock = clocks.Clock(machine=lambda: self.time)
        self.world = World(store, who, Logbook(store), clock=clock)
        self.firing = Firing(self.world)

    def crash(self) -> None:
        """Lose what is not committed, and come back."""
        self.world.store.db.close()
        self._open()

    def turn(self) -> float:
        return self.firing.turn(self.time)

    def ask(self, service: str, operation: str, params: dict[str, Any]) -> Any:
        return perform(self.world, service, operation, params)

    def define(self, family: str, memory: int) -> None:
        container = {"name": "web", "image": "shop", "memory": memory}
        self.ask(
            "ecs",
            "RegisterTaskDefinition",
            {"family": family, "containerDefinitions": [container]},
        )

    def schedule(self, text: str, name: str = "s", family: str = "job", **more: Any) -> None:
        overrides = {"name": "web", "command": ["<aws.scheduler.scheduled-time>"]}
        target = {
            "Arn": self.world.arn("cluster/c"),
            "RoleArn": ROLE,
            "EcsParameters": {"TaskDefinitionArn": family},
            "Input": json.dumps({"containerOverrides": [overrides]}),
            **more.pop("Target", {}),
        }
        params = {
            "Name": name,
            "ScheduleExpression": text,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": target,
            **more,
        }
        self.ask("scheduler", more.pop("operation", "CreateSchedule"), params)

    def moments(self) -> list[str]:
        """Return which moments have a task, in the order of the tasks."""
        own = (t["overrides"]["containerOverrides"][0] for t in self.world.tasks.values())
        return [container["command"][0] for container in own]

    def names(self) -> list[str]:
        answer = self.ask("scheduler", "ListSchedules", {})
        return [schedule["Name"] for schedule in answer["Schedules"]]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    local.world.store.close()


def shown(*moments: float) -> list[str]:
    return [datetime.fromtimestamp(m, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for m in moments]


def test_moment_that_has_come_runs_a_task_once(local: Local) -> None:
    local.schedule("rate(5 minutes)")
    assert local.turn() == START + 300
    assert local.moments() == shown(START)
    local.time += 299
    assert local.turn() == START + 300
    local.time += 1
    local.turn()
    local.turn()
    assert local.moments() == shown(START, START + 300)


steps = st.lists(
    st.one_of(
        st.integers(1, 50).map(lambda s: ("sleep", s)),
        st.sampled_from([("turn", 0), ("commit", 0), ("crash", 0)]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, period=st.integers(1, 3))
def test_every_moment_runs_once_whenever_the_engine_is_killed(
    steps: list[tuple[str, int]], period: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        local = Local(Path(folder))
        unit = "minute" if period == 1 else "minutes"
        local.schedule(f"rate({period} {unit})")
        local.world.store.commit()
        last_turn = local.time
        for step, seconds in [*steps, ("turn", 0)]:
            if step == "sleep":
                # never so long without a commit that a moment counts as missed
                if local.time + seconds - last_turn <= 55:
                    local.time += seconds
            elif step == "turn":
                local.turn()
                local.world.store.commit()
                last_turn = local.time
            elif step == "commit":
                local.world.store.commit()
            else:
                local.turn()  # nothing of which is committed
                local.crash()
        due = itertools.takewhile(
            lambda at: at <= local.time, (START + n * period * 60 for n in itertools.count())
        )
        assert local.moments() == shown(*due)
        local.world.store.close()


def test_engine_that_was_down_for_long_makes_up_for_the_last_moment_only(local: Local) -> None:
    local.schedule("rate(1 hour)")
    local.turn()
    local.time += 10 * 3600 + 600
    local.turn()
    assert local.moments() == shown(START, START + 10 * 3600)
    assert local.turn() == START + 11 * 3600


def test_moment_older_than_its_policy_allows_is_lost(local: Local) -> None:
    policy = {"RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}}
    local.schedule("rate(1 hour)", Target=policy)
    local.turn()
    local.time += 2 * 3600 + 61
    local.turn()
    assert local.moments() == shown(START)


def test_disabled_schedule_lets_its_moments_pass(local: Local) -> None:
    local.schedule("rate(1 minute)", State="DISABLED")
    local.turn()
    local.time += 90
    local.turn()
    local.schedule("rate(1 minute)", operation="UpdateSchedule")
    local.turn()
    assert local.moments() == []
    local.time += 30
    local.turn()
    assert local.moments() == shown(START + 120)


def test_one_time_schedule_goes_when_done_if_it_says_so(local: Local) -> None:
    at = shown(START + 60)[0].removesuffix("Z")
    local.schedule(f"at({at})", "stays")
    local.schedule(f"at({at})", "goes", ActionAfterCompletion="DELETE")
    local.turn()
    assert local.names() == ["stays", "goes"]
    local.time += 61
    local.turn()
    assert local.moments() == shown(START + 60) * 2
    assert local.names() == ["stays"]


def test_recurring_schedule_goes_after_its_end(local: Local) -> None:
    local.schedule("rate(1 minute)", ActionAfterCompletion="DELETE", EndDate=START + 70)
    for _ in range(4):
        local.turn()
        local.time += 30
    assert local.moments() == shown(START, START + 60)
    assert local.names() == []


def test_flexible_window_delays_within_it(local: Local) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30}
    local.schedule("rate(1 day)", FlexibleTimeWindow=window)
    due = local.turn()
    assert START < due < START + 1800
    local.time = due - 0.001
    local.turn()
    assert local.moments() == []
    local.time = due
    local.turn()
    assert local.moments() == shown(START)


def test_failures_are_tried_again_until_there_is_room(local: Local) -> None:
    local.define("huge", memory=10**7)
    policy = {"RetryPolicy": {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 3}}
    local.schedule("rate(1 day)", family="huge", Target=policy)
    tries = []
    for _ in range(4):
        due = local.turn()
        tries.append(local.time - START)
        local.time = due
    assert tries == [0, 2, 6, 14]
    assert due == START + 86_400
    assert local.moments() == []


def test_retry_finds_room(local: Local) -> None:
    local.define("huge", memory=10**7)
    local.schedule("rate(1 day)", family="huge")
    local.time = local.turn()
    local.define("huge", memory=64)
    local.turn()
    assert local.moments() == shown(START)


def test_what_run_task_refuses_is_given_up(local: Local) -> None:
    local.schedule("rate(1 day)", family="nobody")
    assert local.turn() == START + 86_400
    assert local.moments() == []


def test_deleted_group_takes_its_schedules_along(local: Local) -> None:
    local.ask("scheduler", "CreateScheduleGroup", {"Name": "g"})
    local.schedule("rate(1 minute)", GroupName="g")
    local.ask("scheduler", "DeleteScheduleGroup", {"Name": "g"})
    local.turn()
    assert (local.names(), local.moments()) == ([], [])


def test_repeated_creation_is_one(local: Local) -> None:
    local.schedule("rate(1 minute)", ClientToken="t")
    local.schedule("rate(1 minute)", ClientToken="t")
    with pytest.raises(ApiError, match="already exists"):
        local.schedule("rate(1 minute)", ClientToken="u")
    assert local.names() == ["s"]


def rule(local: Local, text: str = "rate(5 minutes)", **more: Any) -> dict[str, Any]:
    target = {
        "Id": "1",
        "Arn": local.world.arn("cluster/c"),
        "EcsParameters": {"TaskDefinitionArn": "job"},
        "Input": '{"containerOverrides": [{"name": "web", "command": ["rule"]}]}',
    }
    arn = local.world.arn("rule/r", "events")
    return {
        "Name": "r", "Arn": arn, "ScheduleExpression": text, "State": "ENABLED",
        "Targets": [target, {**target, "Id": "2"}], **more,
    }  # fmt: skip


def take(local: Local, *rules: dict[str, Any]) -> None:
    async def read() -> list[dict[str, Any]]:
        return list(rules)

    asyncio.run(Rules(local.world, read).follow("AWSEvents.PutRule"))


def test_rule_fires_each_target_after_its_rate_has_passed(local: Local) -> None:
    take(local, rule(local))
    assert local.turn() == START + 300
    assert local.moments() == []
    local.time += 300
    local.turn()
    assert local.moments() == ["rule", "rule"]


def test_rule_read_again_counts_on(local: Local) -> None:
    take(local, rule(local))
    local.time += 200
    take(local, rule(local), {"Name": "p", "Arn": "x", "State": "ENABLED", "Targets": []})
    assert local.turn() == START + 300
    take(local, rule(local, State="DISABLED"))
    local.time += 150
    local.turn()
    take(local, rule(local))
    assert local.turn() == START + 600
    assert local.moments() == []


def test_rule_that_is_gone_fires_no_more(local: Local) -> None:
    take(local, rule(local))
    take(local)
    local.time += 300
    assert local.turn() == float("inf")
    assert local.moments() == []
