"""Alarms, looked at when a minute is over: what they make of their metric, and what follows.

An alarm that SetAlarmState has set keeps its state for one period; then it is judged again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kaiun.engine.metrics import composites
from kaiun.engine.metrics.book import MINUTE_S
from kaiun.engine.metrics.reading import Query, metric_from, queries_from, series_of
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.alarm import AlarmState, Comparison, Missing, Rule, evaluate, reason

log = logging.getLogger(__name__)

HISTORY = 100  # items of an alarm that are kept
_ACTIONS: Final = {
    AlarmState.ALARM: "AlarmActions",
    AlarmState.OK: "OKActions",
    AlarmState.INSUFFICIENT_DATA: "InsufficientDataActions",
}
SCALING: Final = ":scalingPolicy:"


@dataclass(frozen=True, slots=True)
class Ring:
    """An alarm's action that is due: `value` is the latest data point, None where there is none."""

    action: str  # ARN
    alarm: Doc
    value: float | None


Act = Callable[[Ring], str | None]  # returns why it could not be done


def rule_of(alarm: Doc) -> Rule:
    return Rule(
        comparison=Comparison(alarm["ComparisonOperator"]),
        threshold=alarm["Threshold"],
        periods=alarm["EvaluationPeriods"],
        to_alarm=alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"],
        missing=Missing(alarm.get("TreatMissingData", "missing")),
    )


def queries_of(alarm: Doc) -> list[Query]:
    """Return what an alarm looks at; one of the queries is returned."""
    if "Metrics" in alarm:
        return queries_from(alarm["Metrics"])
    stat = alarm.get("Statistic") or alarm["ExtendedStatistic"]
    return [Query("m", alarm["Period"], metric_from(alarm), stat, alarm.get("Unit"))]


class Judge:
    """Looks at all alarms; `act` carries out an action."""

    def __init__(self, world: World, act: Act) -> None:
        self._world = world
        self._act = act

    def __call__(self, ended: float) -> None:
        """Judge every alarm by the data points until a moment."""
        for name in list(self._world.metric_alarms):
            alarm = self._world.metric_alarms[name]
            try:
                if composites.is_composite(alarm):
                    self._judge_again(alarm, ended)
                else:
                    self._judge(alarm, ended)
            except Exception:
                log.exception("alarm %s cannot be judged", name)

    def _judge_again(self, alarm: Doc, ended: float) -> None:
        """Have a composite alarm follow its rule again, a while after its state was set."""
        set_at = alarm["_"].get("set_at")
        if set_at is not None and ended >= set_at + MINUTE_S:
            del alarm["_"]["set_at"]
            self.follow(alarm)

    def follow(self, changed: Doc) -> None:
        """Bring composite alarms into their states, after an alarm has changed its own."""
        for alarm, state in composites.due(self._world):
            self.turn(alarm, state, composites.reason(changed, self._world.now()))
            return  # which has brought the others into theirs

    def _judge(self, alarm: Doc, ended: float) -> None:
        rule, queries = rule_of(alarm), queries_of(alarm)
        query = next(q for q in queries if q.is_returned)
        set_at = alarm["_"].get("set_at")
        if set_at is not None and ended < set_at + max(MINUTE_S, query.period_s):
            return
        start = ended - rule.looks_at * query.period_s
        try:
            series = series_of(self._world.metricbook, queries, start, ended)[query.id]
        except ValueError as problem:
            log.warning("alarm %s: %s", alarm["AlarmName"], problem)
            series = {}
        moments = [start + n * query.period_s for n in range(rule.looks_at)]
        points = [series.get(at) for at in moments]
        before = AlarmState(alarm["StateValue"])
        verdict = evaluate(rule, points, before)
        value = next((point for point in reversed(points) if point is not None), None)
        if verdict.state is before:
            self._ring(alarm, value, again=True)
            return
        shown = [f"{points[n]} ({_date(moments[n])})" for n in verdict.decisive]
        why = reason(rule, verdict, shown, before)
        recent = [point for point in points[-rule.periods :] if point is not None]
        data = _reason_data(query, start, ended, recent, rule.threshold)
        self.turn(alarm, verdict.state, why, data, value)

    def turn(
        self, alarm: Doc, state: AlarmState, why: str, data: str = "", value: float | None = None
    ) -> None:
        """Bring an alarm into a state, and have its actions done where that is a new one."""
        now, before = self._world.now(), AlarmState(alarm["StateValue"])
        old = {"stateValue": before, "stateReason": alarm["StateReason"]}
        alarm |= {
            "StateValue": state.value,
            "StateReason": why[:1023],
            "StateUpdatedTimestamp": now,
        }
        alarm.pop("StateReasonData", None)
        if data:
            alarm["StateReasonData"] = data
        self._world.metric_alarms.touch(alarm["AlarmName"])
        if state is before:
            return
        alarm["StateTransitionedTimestamp"] = now
        new = {"stateValue": state, "stateReason": why[:1023]}
        summary = f"Alarm updated from {before} to {state}"
        told = {"version": "1.0", "oldState": old, "newState": new}
        remember(self._world, alarm["AlarmName"], "StateUpdate", summary, told)
        self._ring(alarm, value, again=False)
        self.follow(alarm)

    def _ring(self, alarm: Doc, value: float | None, *, again: bool) -> None:
        """Have the actions of a state done; those of Auto Scaling every minute while it lasts.

        Source: CloudWatch user guide, "Alarm actions": "the alarm continues to invoke the action
        once per minute" for Auto Scaling.
        """
        if not alarm["ActionsEnabled"]:
            return
        for action in alarm[_ACTIONS[AlarmState(alarm["StateValue"])]]:
            if again and SCALING not in action:
                continue
            problem = self._act(Ring(action, alarm, value))
            if problem is not None:
                log.warning("alarm %s: %s: %s", alarm["AlarmName"], action, problem)
            if not again:
                self._remember_action(alarm["AlarmName"], action, problem)

    def _remember_action(self, name: str, action: str, problem: str | None) -> None:
        done = "Successfully executed" if problem is None else "Failed to execute"
        told: Doc = {"actionState": "Succeeded" if problem is None else "Failed"}
        told |= {"notificationResource": action, "error": problem}
        remember(self._world, name, "Action", f"{done} action {action}"[:255], told)


def remember(world: World, name: str, kind: str, summary: str, told: Doc) -> None:
    """Put an item into an alarm's history."""
    kept = world.alarm_histories.get(name) or {"items": []}
    alarm = world.metric_alarms.get(name)
    composite = alarm is not None and composites.is_composite(alarm)
    item = {
        "AlarmName": name,
        "AlarmType": "CompositeAlarm" if composite else "MetricAlarm",
        "Timestamp": world.now(),
        "HistoryItemType": kind,
        "HistorySummary": summary,
        "HistoryData": json.dumps(told)[:4095],
    }
    world.alarm_histories[name] = {"items": [item, *kept["items"]][:HISTORY]}


def _reason_data(
    query: Query, start: float, ended: float, recent: list[float], threshold: float
) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": _iso(ended),
            "startDate": _iso(start),
            **({"statistic": query.stat} if query.stat else {}),
            "period": query.period_s,
            "recentDatapoints": recent[-50:],
            "threshold": threshold,
        }
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d/%m/%y %H:%M:%S")
