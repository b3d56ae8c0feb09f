"""CloudWatch: alarms on the states of other alarms."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.metrics.composites import children, is_below
from kaiun.engine.metrics.judging import SCALING
from kaiun.engine.operations.alarm_checks import ACTIONS, check_actions
from kaiun.engine.operations.metric_alarms import check_kind, put_alarm
from kaiun.engine.operations.metrics import invalid
from kaiun.engine.world import World

MAX_CHILDREN = 100


@operation("monitoring", "PutCompositeAlarm")
def put_composite_alarm(world: World, params: Params) -> Params:
    name = params["AlarmName"]
    if any(key.startswith("ActionsSuppressor") for key in params):
        raise invalid("Suppressors of actions are not supported by this local CloudWatch.")
    check_actions(params)
    if any(SCALING in action for key in ACTIONS for action in params.get(key, ())):
        raise invalid("A composite alarm cannot have actions of Auto Scaling.")
    check_kind(world, name, composite=True)
    _check_rule(world, params)
    alarm = put_alarm(world, params)
    world.judge.follow(alarm)
    return {}


def _check_rule(world: World, params: Params) -> None:
    try:
        names = children(params)
    except ValueError as problem:
        raise invalid(f"AlarmRule: {problem}.") from None
    if len(names) > MAX_CHILDREN:
        raise invalid(f"A composite alarm looks at {MAX_CHILDREN} alarms at most.")
    if unknown := [name for name in names if name not in world.metric_alarms]:
        listed = ", ".join(unknown)[:500]
        raise invalid(
            f"Could not save the composite alarm as alarms [{listed}] in the alarm rule do not "
            "exist."
        )
    if is_below(world, params["AlarmName"], params):
        raise invalid("A composite alarm cannot depend on itself.")
