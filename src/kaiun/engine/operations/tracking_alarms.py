"""The two alarms that drive a target tracking policy."""

from __future__ import annotations

import uuid

from kaiun.engine.dispatch import Params
from kaiun.engine.operations.metric_alarms import delete_alarm, put_alarm
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling import tracking
from kaiun.scaling.alarm import Rule

PREDEFINED = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
BY_REQUESTS = "ALBRequestCountPerTarget"


def put_alarms(world: World, policy: Doc) -> list[Doc]:
    """Make the alarms of a target tracking policy, or change them."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    known = {alarm["AlarmName"].split("-Alarm")[1][:3]: alarm for alarm in policy["Alarms"]}
    rules = {"High": tracking.high_rule(configuration["TargetValue"])}
    if not configuration.get("DisableScaleIn"):
        rules["Low"] = tracking.low_rule(configuration["TargetValue"])
    made = []
    for side, rule in rules.items():
        prefix = f"TargetTracking-{policy['ResourceId']}-Alarm{side}-"
        old = known.pop(side[:3], None)
        name = old["AlarmName"] if old else f"{prefix}{uuid.uuid4()}"
        alarm = put_alarm(world, _alarm(policy, name, rule))
        made.append({"AlarmName": name, "AlarmARN": alarm["AlarmArn"]})
    for alarm in known.values():
        delete_alarm(world, alarm["AlarmName"])
    return made


def _alarm(policy: Doc, name: str, rule: Rule) -> Params:
    arn = policy["PolicyARN"]
    return {
        "AlarmName": name,
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {arn}.",
        "ActionsEnabled": True,
        "AlarmActions": [arn],
        "ComparisonOperator": rule.comparison.value,
        "Threshold": rule.threshold,
        "EvaluationPeriods": rule.periods,
        **_watched(policy),
    }


def _watched(policy: Doc) -> Params:
    """Return what names the metric of a policy in an alarm."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    if predefined := configuration.get("PredefinedMetricSpecification"):
        return {"Period": 60, **_predefined(predefined, policy["ResourceId"])}
    customized = configuration["CustomizedMetricSpecification"]
    if queries := customized.get("Metrics"):
        return {"Metrics": queries_of(queries)}
    names = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
    return {"Period": 60, **{name: customized[name] for name in names if name in customized}}


def _predefined(predefined: Doc, resource: str) -> Params:
    kind = predefined["PredefinedMetricType"]
    if kind == BY_REQUESTS:
        balancer, _, group = predefined["ResourceLabel"].partition("/targetgroup/")
        values = {"LoadBalancer": balancer, "TargetGroup": f"targetgroup/{group}"}
        own = {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCountPerTarget"}
        return {**own, "Statistic": "Sum", "Dimensions": _dimensions(values)}
    _, cluster, service = resource.split("/")
    return {
        "Namespace": "AWS/ECS",
        "MetricName": PREDEFINED[kind],
        "Statistic": "Average",
        "Dimensions": _dimensions({"ClusterName": cluster, "ServiceName": service}),
    }


def _dimensions(values: dict[str, str]) -> list[Doc]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def queries_of(queries: list[Doc]) -> list[Doc]:
    """Return the queries as CloudWatch has them: these have no period, it is a minute."""
    return [
        {**query, "MetricStat": {**query["MetricStat"], "Period": 60}}
        if "MetricStat" in query
        else query
        for query in queries
    ]
