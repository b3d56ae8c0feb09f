"""CloudWatch: alarms on metrics."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.metrics.composites import children, is_composite, parents
from kaiun.engine.metrics.judging import remember
from kaiun.engine.metrics.reading import metric_from
from kaiun.engine.operations.alarm_checks import ACTIONS, check_alarm
from kaiun.engine.operations.common import page, shown
from kaiun.engine.operations.metrics import invalid
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.alarm import AlarmState

PAGE = 100
_TYPES = ("MetricAlarm", "CompositeAlarm")
MAX_ALARM_TAGS = 50
_ABOUT = (
    "AlarmDescription", "ActionsEnabled", *ACTIONS, "MetricName", "Namespace", "Statistic",
    "ExtendedStatistic", "Dimensions", "Period", "Unit", "EvaluationPeriods", "DatapointsToAlarm",
    "Threshold", "ComparisonOperator", "TreatMissingData", "EvaluateLowSampleCountPercentile",
    "Metrics", "AlarmRule",
)  # fmt: skip


@operation("monitoring", "PutMetricAlarm")
def put_metric_alarm(world: World, params: Params) -> Params:
    check_alarm(params)
    check_kind(world, params["AlarmName"], composite=False)
    put_alarm(world, params)
    return {}


def check_kind(world: World, name: str, *, composite: bool) -> None:
    """Raise ValidationError where there is an alarm of the other kind by this name."""
    old = world.metric_alarms.get(name)
    if old is not None and is_composite(old) != composite:
        raise invalid(f"There is an alarm of another type with the name {name[:200]}.")


def put_alarm(world: World, params: Params) -> Doc:
    """Make an alarm, or change one, which keeps its state; return it."""
    name, now = params["AlarmName"], world.now()
    old = world.metric_alarms.get(name)
    kept = old or {
        "AlarmName": name,
        "AlarmArn": world.arn(f"alarm:{name}", "cloudwatch"),
        "StateValue": AlarmState.INSUFFICIENT_DATA.value,
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": now,
        "StateTransitionedTimestamp": now,
        "_": {"tags": _tags_of(params)},
    }
    state = {key: value for key, value in kept.items() if key not in _ABOUT}
    defaults: Doc = {"ActionsEnabled": True, **{key: [] for key in ACTIONS}}
    if "MetricName" in params:
        defaults["Dimensions"] = []
    given = {key: params[key] for key in _ABOUT if key in params}
    if "Threshold" in given:
        given["Threshold"] = float(given["Threshold"])
    alarm = {**state, **defaults, **given, "AlarmConfigurationUpdatedTimestamp": now}
    world.metric_alarms[name] = alarm
    what = "updated" if old else "created"
    told = {"version": "1.0", "type": "Update" if old else "Create"}
    remember(world, name, "ConfigurationUpdate", f'Alarm "{name[:200]}" {what}', told)
    return alarm


def _tags_of(params: Params) -> list[Doc]:
    tags = {tag["Key"]: tag for tag in params.get("Tags", ())}
    return list(tags.values())


@operation("monitoring", "DescribeAlarms")
def describe_alarms(world: World, params: Params) -> Params:
    related = _related(world, params)
    kinds = params.get("AlarmTypes", ["MetricAlarm"] if related is None else list(_TYPES))
    found = [
        alarm
        for alarm in (world.metric_alarms.values() if related is None else related)
        if type_of(alarm) in kinds and _is_asked_for(alarm, params)
    ]
    part, following = _page(found, params)
    answer = {
        f"{kind}s": [shown(alarm) for alarm in part if type_of(alarm) == kind] for kind in _TYPES
    }
    return {**answer, "NextToken": following} if following else answer


def type_of(alarm: Doc) -> str:
    return "CompositeAlarm" if is_composite(alarm) else "MetricAlarm"


def _related(world: World, params: Params) -> list[Doc] | None:
    """Return the children or the parents of the alarm that is asked about; None where none is."""
    if name := params.get("ChildrenOfAlarmName"):
        alarm = world.metric_alarms.get(name)
        names = children(alarm) if alarm is not None and is_composite(alarm) else ()
        return [found for child in names if (found := world.metric_alarms.get(child)) is not None]
    return parents(world, name) if (name := params.get("ParentsOfAlarmName")) else None


def _is_asked_for(alarm: Doc, params: Params) -> bool:
    prefix = params.get("ActionPrefix", "")
    actions = [action for name in ACTIONS for action in alarm[name]]
    return (
        alarm["AlarmName"] in params.get("AlarmNames", [alarm["AlarmName"]])
        and alarm["AlarmName"].startswith(params.get("AlarmNamePrefix", ""))
        and params.get("StateValue") in (None, alarm["StateValue"])
        and (not prefix or any(action.startswith(prefix) for action in actions))
    )


def _page(items: list[Doc], params: Params) -> tuple[list[Doc], str | None]:
    asked = {"nextToken": params.get("NextToken"), "maxResults": params.get("MaxRecords", 50)}
    return page(items, asked, limit=PAGE, error=lambda text: ApiError("InvalidNextToken", text))


@operation("monitoring", "DescribeAlarmsForMetric")
def describe_alarms_for_metric(world: World, params: Params) -> Params:
    metric = metric_from(params)
    narrow = ("Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        shown(alarm)
        for alarm in world.metric_alarms.values()
        if "MetricName" in alarm
        and metric_from(alarm) == metric
        and all(alarm.get(name) == params[name] for name in narrow if name in params)
    ]
    return {"MetricAlarms": found}


@operation("monitoring", "DescribeAlarmHistory")
def describe_alarm_history(world: World, params: Params) -> Params:
    items = [item for kept in world.alarm_histories.values() for item in kept["items"]]
    found = [item for item in items if _happened(item, params)]
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    found.sort(key=lambda item: float(item["Timestamp"]), reverse=newest_first)
    part, following = _page(found, params)
    answer = {"AlarmHistoryItems": part}
    return {**answer, "NextToken": following} if following else answer


def _happened(item: Doc, params: Params) -> bool:
    at = item["Timestamp"]
    return (
        params.get("AlarmName") in (None, item["AlarmName"])
        and params.get("HistoryItemType") in (None, item["HistoryItemType"])
        and item["AlarmType"] in params.get("AlarmTypes", ["MetricAlarm"])
        and params.get("StartDate", at) <= at <= params.get("EndDate", at)
        and "AlarmContributorId" not in params
    )


@operation("monitoring", "DeleteAlarms")
def delete_alarms(world: World, params: Params) -> Params:
    """Delete alarms: all or, where one does not exist, none. Source: DeleteAlarms: "If you specify
    an incorrect alarm name or make any other error in the operation, no alarms are deleted"."""
    names = params["AlarmNames"]
    for name in names:
        if name not in world.metric_alarms:
            return {}
        for parent in parents(world, name):
            if parent["AlarmName"] not in names:
                text = f"Alarm {name[:200]} is used by composite alarm {parent['AlarmName']}."
                raise ApiError("ResourceConflict", text, status=409)
    for name in params["AlarmNames"]:
        delete_alarm(world, name)
    return {}


def delete_alarm(world: World, name: str) -> None:
    """Delete an alarm if it is there; its history stays."""
    if name in world.metric_alarms:
        del world.metric_alarms[name]
        told = {"version": "1.0", "type": "Delete"}
        remember(world, name, "ConfigurationUpdate", f'Alarm "{name[:200]}" deleted', told)


def find_alarm(world: World, name: str) -> Doc:
    """Return an alarm. Raises ResourceNotFound."""
    found = world.metric_alarms.get(name)
    if found is None:
        raise ApiError("ResourceNotFound", f"Alarm {name} does not exist.", status=404)
    return found


@operation("monitoring", "SetAlarmState")
def set_alarm_state(world: World, params: Params) -> Params:
    alarm = find_alarm(world, params["AlarmName"])
    alarm["_"]["set_at"] = world.now()
    world.judge.turn(
        alarm,
        AlarmState(params["StateValue"]),
        params["StateReason"],
        params.get("StateReasonData", ""),
    )
    return {}


@operation("monitoring", "EnableAlarmActions")
def enable_alarm_actions(world: World, params: Params) -> Params:
    return _switch_actions(world, params, on=True)


@operation("monitoring", "DisableAlarmActions")
def disable_alarm_actions(world: World, params: Params) -> Params:
    return _switch_actions(world, params, on=False)


def _switch_actions(world: World, params: Params, *, on: bool) -> Params:
    for name in params["AlarmNames"]:
        if (alarm := world.metric_alarms.get(name)) is not None:
            alarm["ActionsEnabled"] = on
            world.metric_alarms.touch(name)
    return {}


@operation("monitoring", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    """Return an alarm's tags; what does not exist has none."""
    found = _alarm_of(world, params)
    return {"Tags": found["_"]["tags"] if found else []}


@operation("monitoring", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    alarm = _tagged(world, params)
    tags = _tags_of({"Tags": [*alarm["_"]["tags"], *params["Tags"]]})
    if len(tags) > MAX_ALARM_TAGS:
        raise ApiError("InvalidParameterValue", f"An alarm has {MAX_ALARM_TAGS} tags at most.")
    alarm["_"]["tags"] = tags
    world.metric_alarms.touch(alarm["AlarmName"])
    return {}


@operation("monitoring", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    alarm = _tagged(world, params)
    alarm["_"]["tags"] = [t for t in alarm["_"]["tags"] if t["Key"] not in params["TagKeys"]]
    world.metric_alarms.touch(alarm["AlarmName"])
    return {}


def _tagged(world: World, params: Params) -> Doc:
    """Return the alarm of an ARN. Raises ResourceNotFoundException."""
    found = _alarm_of(world, params)
    if found is None:
        raise ApiError("ResourceNotFoundException", "Unknown", status=404)
    return found


def _alarm_of(world: World, params: Params) -> Doc | None:
    found = world.metric_alarms.get(params["ResourceARN"].partition(":alarm:")[2])
    return found if found and found["AlarmArn"] == params["ResourceARN"] else None
