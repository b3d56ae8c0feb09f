"""Fires what is due: moments become invocations, invocations become tasks.

All of a turn is one transaction, tasks included, so a killed engine has done either all or nothing.
"""

from __future__ import annotations

import logging
import uuid

from kaiun.engine import dispatch
from kaiun.engine.autoscaling import bounds
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules import timetable
from kaiun.engine.schedules.requests import Occasion, is_for_ecs, run_task_request
from kaiun.engine.schedules.timing import delay_s
from kaiun.engine.store import Doc
from kaiun.engine.world import World

log = logging.getLogger(__name__)

LATE_REAL_S = 60.0  # so late, on the machine's clock, is what an engine was not there for
AT_ONCE = 100  # invocations in one turn of the loop
MAX_AGE_S = 86_400
MAX_ATTEMPTS = 185
LONGEST_PAUSE_S = 900.0
FOREVER_S = float("inf")


class Firing:
    """Looks at the timetable when something is due or has changed, and only then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due = 0.0

    def turn(self, now: float) -> float:
        """Fire what is due; return when the next is."""
        world = self._world
        if world.timetable_changed or now >= self._due:
            world.timetable_changed = False
            for arn in list(world.timetable):
                self._move_on(world.timetable[arn], now)
            self._due = self._invoke_all(now)
            self._remove_done()
        return self._due

    def _move_on(self, entry: Doc, now: float) -> None:
        planned = entry["planned"]
        if planned is None or planned > now:
            return
        oldest_s = max((policy_of(t)[0] for t in entry["targets"]), default=MAX_AGE_S)
        late_s = LATE_REAL_S * self._world.clock.scale
        moments, following = timetable.timing_of(entry).come_due(
            planned, now, late=now - late_s, lost=now - oldest_s
        )
        entry["planned"] = following
        self._world.timetable.touch(entry["arn"])
        if entry["enabled"]:
            for moment in moments:
                self._add_invocations(entry, moment)

    def _add_invocations(self, entry: Doc, moment: float) -> None:
        arn = entry["arn"]
        for number, target in enumerate(entry["targets"]):
            if entry["source"] != timetable.SCALING and not is_for_ecs(target):
                log.warning("%s: %s is not a cluster of ECS; nothing runs", arn, target["Arn"])
                continue
            self._world.invocations[f"{arn} {moment} {target.get('Id', number)}"] = {
                "arn": arn,
                "target": number,
                "moment": moment,
                "attempt": 1,
                "try_at": moment + delay_s(arn, moment, entry["window_s"]),
            }

    def _invoke_all(self, now: float) -> float:
        """Make the invocations that are due; return when to look again."""
        invocations = self._world.invocations
        due = [key for key in invocations if invocations[key]["try_at"] <= now]
        for key in due[:AT_ONCE]:
            self._invoke(key, now)
        planned = (e["planned"] for e in self._world.timetable.values())
        dues = [at for at in planned if at is not None]
        return min([*dues, *(i["try_at"] for i in invocations.values())], default=FOREVER_S)

    def _invoke(self, key: str, now: float) -> None:
        """Try to run a target's tasks; what its policy allows to be tried again stays."""
        world, invocation = self._world, self._world.invocations[key]
        entry = world.timetable[invocation["arn"]]
        target = entry["targets"][invocation["target"]]
        try:
            problem = _run(world, entry, target, key, invocation)
        except (ApiError, ValueError) as refusal:
            log.warning("%s: RunTask is refused: %s", entry["arn"], refusal)
            del world.invocations[key]
            return
        if problem is None:
            del world.invocations[key]
            return
        oldest_s, attempts = policy_of(target)
        pause_s = min(2.0 ** invocation["attempt"], LONGEST_PAUSE_S)
        if invocation["attempt"] > attempts or now + pause_s > invocation["moment"] + oldest_s:
            log.warning("%s: RunTask fails and is given up: %s", entry["arn"], problem)
            del world.invocations[key]
            return
        invocation["attempt"] += 1
        invocation["try_at"] = now + pause_s
        world.invocations.touch(key)

    def _remove_done(self) -> None:
        """Delete the schedules that have no moment left, where they say so."""
        world = self._world
        for arn in list(world.timetable):
            entry = world.timetable[arn]
            is_done = entry["planned"] is None and not timetable.pending(world, arn)
            if is_done and entry["enabled"] and entry["is_deleted_when_done"]:
                del world.timetable[arn]
                of_scaling = entry["source"] == timetable.SCALING
                del (world.scheduled_actions if of_scaling else world.schedules)[arn]


def policy_of(target: Doc) -> tuple[int, int]:
    """Return how old a moment may be that is still fired, in seconds, and how often to retry."""
    policy = target.get("RetryPolicy", {})
    return (
        policy.get("MaximumEventAgeInSeconds", MAX_AGE_S),
        policy.get("MaximumRetryAttempts", MAX_ATTEMPTS),
    )


def _run(world: World, entry: Doc, target: Doc, key: str, invocation: Doc) -> str | None:
    """Run a target's tasks; return why there is not one. Raises ApiError, ValueError."""
    if entry["source"] == timetable.SCALING:
        bounds.act_on_schedule(world, entry)
        return None
    occasion = Occasion(
        arn=entry["arn"],
        execution_id=execution_id(key),
        moment=invocation["moment"],
        attempt=invocation["attempt"],
        account=world.identity.account,
        region=world.identity.region,
    )
    answer = dispatch.perform(world, "ecs", "RunTask", run_task_request(entry, target, occasion))
    assert isinstance(answer, dict)  # noqa: S101  (RunTask's is a document)
    reasons = ", ".join(sorted({failure["reason"] for failure in answer["failures"]}))
    if answer["tasks"]:
        if reasons:
            log.warning("%s: RunTask has not started all: %s", entry["arn"], reasons)
        return None
    return reasons or "no task"


def execution_id(key: str) -> str:
    """Return the id of an invocation, the same in each of its attempts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, key))
