"""CloudWatch: data points put, and read again."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.metrics.book import MINUTE_S, Metric, Point
from kaiun.engine.metrics.reading import (
    Query,
    metric_from,
    queries_from,
    rounded,
    series_of,
    summaries,
)
from kaiun.engine.operations.common import page
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.statistics import Summary, is_statistic, statistic, summary_of

INVALID_VALUE = "InvalidParameterValue"
MAX_VALUE = 2.0**360
MAX_DATUMS = 1000
MAX_VALUES = 150
MAX_QUERIES = 500
MAX_MEASURED = 1440
MAX_DATA = 100_800
OLDEST_S, NEWEST_S = 14 * 86_400.0, 7_200.0
LISTED_S = 14 * 86_400.0
RECENT_S = 3 * 3_600.0
PAGE = 500
_SHORT_S = (1, 5, 10, 20, 30)
_ID = re.compile(r"[a-z]\w*", re.ASCII)


@operation("monitoring", "PutMetricData")
def put_metric_data(world: World, params: Params) -> Params:
    namespace = params["Namespace"]
    if namespace.startswith("AWS/"):
        raise bad_value("The value AWS/ for parameter Namespace is invalid.")
    entities = [d for e in params.get("EntityMetricData", ()) for d in e.get("MetricData", ())]
    datums = [*params.get("MetricData", ()), *entities]
    if not datums:
        raise ApiError("MissingParameter", "The parameter MetricData is required.")
    if len(datums) > MAX_DATUMS:
        raise bad_value(f"The collection MetricData must not have more than {MAX_DATUMS} members.")
    world.metricbook.write(
        [_point(world, namespace, datum, place) for place, datum in enumerate(datums, 1)]
    )
    return {}


def _point(world: World, namespace: str, datum: Doc, place: int) -> Point:
    now = world.now()
    at = datum.get("Timestamp", now)
    if not now - OLDEST_S <= at <= now + NEWEST_S:
        raise bad_value(
            "The parameter Timestamp must specify a time within the past two weeks, and no more "
            "than two hours in the future."
        )
    resolution_s = datum.get("StorageResolution", MINUTE_S)
    if resolution_s not in (1, MINUTE_S):
        raise bad_value("The parameter StorageResolution must be 1 or 60.")
    metric = metric_from({**datum, "Namespace": namespace})
    names = [name for name, _ in metric.dimensions]
    if len(set(names)) != len(names):
        raise bad_value("No Dimension name may be given twice.")
    unit = datum.get("Unit", "None")
    begins = float(at // resolution_s * resolution_s)
    return Point(metric, begins, _summary(datum, f"MetricData.member.{place}."), unit)


def _summary(datum: Doc, path: str) -> Summary:
    given = [name for name in ("Value", "StatisticValues", "Values") if name in datum]
    if not given:
        text = "At least one of the parameters must be specified."
        raise ApiError("InvalidParameterCombination", text)
    if len(given) > 1:
        code = "InvalidParameterCombination" if "StatisticValues" in given else INVALID_VALUE
        text = f"The parameters {path}{given[0]} and {path}{given[1]} are mutually exclusive and "
        raise ApiError(code, f"{text}you have specified both.")
    if given == ["StatisticValues"]:
        told = datum["StatisticValues"]
        return _told(*(told[n] for n in ("SampleCount", "Sum", "Minimum", "Maximum")))
    values = [datum["Value"]] if given == ["Value"] else datum["Values"]
    counts = datum.get("Counts") or [1.0] * len(values)
    if len(counts) != len(values):
        raise bad_value(f"The parameters {path}Values and {path}Counts must be of the same size.")
    if not values or len(values) > MAX_VALUES:
        raise bad_value(f"{path}Values must have 1 to {MAX_VALUES} members.")
    if any(not _is_number(number) for number in (*values, *counts)) or min(counts) <= 0:
        raise bad_value("A value is not a number that a metric can have.")
    seen: Counter[float] = Counter()
    for value, count in zip(values, counts, strict=True):
        seen[float(value)] += count
    return summary_of(seen)


def _told(count: float, total: float, low: float, high: float) -> Summary:
    if any(not _is_number(number) for number in (count, total, low, high)):
        raise bad_value("A value is not a number that a metric can have.")
    if count <= 0 or low > high:
        raise bad_value("StatisticValues: SampleCount is above 0, Minimum at most Maximum.")
    return Summary(count, total, low, high, summary_of({low: count}).values if low == high else {})


def _is_number(number: float) -> bool:
    return math.isfinite(number) and abs(number) <= MAX_VALUE


@operation("monitoring", "ListMetrics")
def list_metrics(world: World, params: Params) -> Params:
    now = world.now()
    since = now - (RECENT_S if "RecentlyActive" in params else LISTED_S)
    found = [m for m in world.metricbook.metrics(since) if _matches(m, params)]
    part, following = page(
        found, {"nextToken": params.get("NextToken")}, limit=PAGE, error=_bad_token
    )
    shown = {"Metrics": [show(metric) for metric in part]}
    return {**shown, "NextToken": following} if following else shown


def _bad_token(_message: str) -> ApiError:
    return bad_value("Request parameter NextToken is invalid")


def _matches(metric: Metric, params: Params) -> bool:
    own = dict(metric.dimensions)
    return (
        params.get("Namespace") in (None, metric.namespace)
        and params.get("MetricName") in (None, metric.name)
        and all(
            f["Name"] in own and f.get("Value") in (None, own[f["Name"]])
            for f in params.get("Dimensions", ())
        )
    )


def show(metric: Metric) -> Doc:
    """Return a metric as the API has it."""
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


@operation("monitoring", "GetMetricStatistics")
def get_metric_statistics(world: World, params: Params) -> Params:
    names = [*params.get("Statistics", ()), *params.get("ExtendedStatistics", ())]
    if not names:
        text = "Must specify either Statistics or ExtendedStatistics"
        raise ApiError("InvalidParameterCombination", text)
    for name in names:
        check_statistic(name)
    period_s = check_period(params["Period"])
    text = "The parameter StartTime must be less than the parameter EndTime."
    start, end = _span(params, period_s, bad_value(text))
    if (end - start) / period_s > MAX_MEASURED:
        raise ApiError(
            "InvalidParameterCombination",
            f"You have requested up to {math.ceil((end - start) / period_s):,} datapoints, which "
            f"exceeds the limit of {MAX_MEASURED:,}. You may reduce the datapoints requested by "
            "increasing Period, or decreasing the time range.",
        )
    query = Query("q", period_s, metric_from(params), unit=params.get("Unit"))
    found = summaries(world.metricbook, query, start, end)
    points = [_datapoint(at, *found[at], names) for at in sorted(found)]
    return {"Label": params["MetricName"], "Datapoints": points}


def _datapoint(at: float, summary: Summary, unit: str, names: list[str]) -> Doc:
    values = {name: statistic(name, summary) for name in names}
    extended = {n: v for n, v in values.items() if n.startswith("p") and v is not None}
    plain = {n: v for n, v in values.items() if not n.startswith("p")}
    more = {"ExtendedStatistics": extended} if extended else {}
    return {"Timestamp": at, **plain, "Unit": unit, **more}


def _span(params: Params, period_s: int, empty: ApiError) -> tuple[float, float]:
    """Return start and end; raises `empty` where there is not a second between them."""
    start, end = params["StartTime"], params["EndTime"]
    if not (_is_number(start) and _is_number(end)) or start < 0:
        raise bad_value("StartTime and EndTime have to be dates.")
    if math.floor(start) >= math.floor(end):
        raise empty
    return rounded(start, period_s), end


@operation("monitoring", "GetMetricData")
def get_metric_data(world: World, params: Params) -> Params:
    docs = params["MetricDataQueries"]
    if not docs or len(docs) > MAX_QUERIES:
        raise invalid(f"MetricDataQueries has 1 to {MAX_QUERIES} members.")
    check_queries(docs)
    queries = queries_from(docs)
    shortest_s = min(query.period_s for query in queries)
    text = "The parameter EndTime must be greater than StartTime."
    if params["StartTime"] // 1 == params["EndTime"] // 1:
        text = "The parameter StartTime must not equal parameter EndTime."
    start, end = _span(params, shortest_s, invalid(text))
    returned = [query for query in queries if query.is_returned]
    if sum((end - start) / query.period_s for query in queries) > MAX_DATA:
        raise invalid(f"You have requested more than {MAX_DATA:,} datapoints.")
    try:
        found = series_of(world.metricbook, queries, start, end)
    except ValueError as problem:
        raise invalid(f"Error in expression: {problem}.") from None
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = [_result(q, found[q.id], newest_first=newest_first) for q in returned]
    return {"MetricDataResults": results, "Messages": []}


def _result(query: Query, series: dict[float, float], *, newest_first: bool) -> Doc:
    moments = sorted(series, reverse=newest_first)
    return {
        "Id": query.id,
        "Label": query.label,
        "Timestamps": moments,
        "Values": [series[at] for at in moments],
        "StatusCode": "Complete",
    }


def check_queries(docs: list[Doc]) -> None:
    """Check what the model cannot say of MetricDataQueries. Raises ValidationError."""
    ids = [doc["Id"] for doc in docs]
    if len(set(ids)) != len(ids):
        raise invalid("The values for parameter id in MetricDataQueries are not unique.")
    for place, doc in enumerate(docs, 1):
        if not _ID.fullmatch(doc["Id"]):
            raise invalid(
                f"The value {doc['Id'][:50]} for parameter id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$."
            )
        if "MetricStat" not in doc and "Expression" not in doc:
            raise invalid(
                f"The parameter MetricDataQueries.member.{place}.MetricStat is required.\n"
            )
        if "MetricStat" in doc and "Expression" in doc:
            raise invalid("MetricStat and Expression are mutually exclusive.")
        for problem in _problems_of(doc):
            raise invalid(problem)


def _problems_of(doc: Doc) -> Iterator[str]:
    stat = doc.get("MetricStat", {})
    if stat and not is_statistic(stat["Stat"]):
        yield f"The value {stat['Stat'][:50]} for parameter Stat is not supported."
    if stat and not (stat["Metric"].get("MetricName") and stat["Metric"].get("Namespace")):
        yield "A metric has a Namespace and a MetricName."
    for period_s in (stat.get("Period"), doc.get("Period")):
        if period_s is not None and not _is_period(period_s):
            yield f"Period must be 1, 5, 10, 20, 30, or a multiple of 60, not {period_s}."


def check_statistic(name: str) -> str:
    if not is_statistic(name):
        raise bad_value(f"The value {name[:50]} for parameter ExtendedStatistic is not supported.")
    return name


def check_period(period_s: int) -> int:
    if not _is_period(period_s):
        raise bad_value("The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60.")
    return period_s


def _is_period(period_s: int) -> bool:
    return period_s > 0 and (period_s in _SHORT_S or period_s % MINUTE_S == 0)


def bad_value(message: str) -> ApiError:
    return ApiError(INVALID_VALUE, message)


def invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)
