"""What PutMetricAlarm refuses."""

from __future__ import annotations

import math

from kaiun.engine.dispatch import Params
from kaiun.engine.metrics.book import MINUTE_S
from kaiun.engine.operations.metrics import check_queries, check_statistic, invalid
from kaiun.engine.protocol.errors import ApiError
from kaiun.scaling.alarm import Comparison, Missing

ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
DAY_S, WEEK_S, HOUR_S = 86_400, 604_800, 3_600
_SHORT_S = (10, 20, 30)
_REFUSED = ("ThresholdMetricId", "EvaluationCriteria", "EvaluationInterval", "EvaluationWindow")


def check_alarm(params: Params) -> None:
    """Check what the model cannot say. Raises ValidationError, MissingParameter and the like."""
    if name := next((name for name in _REFUSED if name in params), None):
        raise invalid(f"Alarms with {name} are not supported by this local CloudWatch.")
    for name in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if name not in params:
            raise _missing(name)
    if not math.isfinite(params["Threshold"]):
        raise invalid("Threshold has to be a number.")
    if params["ComparisonOperator"] not in list(Comparison):
        raise invalid("Alarms on anomaly detection bands are not supported.")
    if params.get("DatapointsToAlarm", 1) > params["EvaluationPeriods"]:
        raise invalid("DatapointsToAlarm must not be above EvaluationPeriods.")
    low_count = params.get("EvaluateLowSampleCountPercentile", "ignore")
    if low_count not in ("evaluate", "ignore"):
        raise invalid(
            f"Option {low_count[:50]} is not supported. Supported options for parameter "
            "EvaluateLowSampleCountPercentile are evaluate and ignore."
        )
    if params.get("TreatMissingData", "missing") not in list(Missing):
        choices = ", ".join(Missing)
        raise invalid(f"TreatMissingData must be one of [{choices}].")
    check_actions(params)
    if "Metrics" in params:
        _check_metrics(params)
    else:
        _check_metric(params)


def check_actions(params: Params) -> None:
    for action in (action for name in ACTIONS for action in params.get(name, ())):
        if not action.startswith("arn:"):
            raise invalid(f"Invalid arn syntax: {action[:200]}")


def _check_metrics(params: Params) -> None:
    others = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic")
    if any(name in params for name in (*others, "ExtendedStatistic")):
        raise ApiError("InvalidParameterCombination", "Metrics stands for all that names a metric.")
    docs = params["Metrics"]
    check_queries(docs)
    if sum(doc.get("ReturnData", True) for doc in docs) != 1:
        raise invalid("Exactly one element of the metrics list should return data.")
    periods = [d["MetricStat"]["Period"] for d in docs if "MetricStat" in d]
    if not periods:
        raise invalid("At least one element of the metrics list has to be a metric.")
    _check_span(params, max([*periods, *(d["Period"] for d in docs if "Period" in d)]))


def _check_metric(params: Params) -> None:
    for name in ("MetricName", "Namespace", "Period"):
        if name not in params:
            raise _missing(name)
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        text = "Exactly one of Statistic and ExtendedStatistic has to be given."
        raise ApiError("InvalidParameterCombination", text)
    if "ExtendedStatistic" in params:
        check_statistic(params["ExtendedStatistic"])
    period_s = params["Period"]
    if period_s not in _SHORT_S and period_s % MINUTE_S:
        raise invalid("Period must be 10, 20, 30 or a multiple of 60.")
    _check_span(params, period_s)


def _check_span(params: Params, period_s: int) -> None:
    longest_s = WEEK_S if period_s >= HOUR_S else DAY_S
    if period_s * params["EvaluationPeriods"] > longest_s:
        raise invalid(
            "Metrics cannot be checked across more than a day, or a week with periods of at least "
            "an hour (EvaluationPeriods * Period)."
        )


def _missing(name: str) -> ApiError:
    return ApiError("MissingParameter", f"The parameter {name} is required.")
