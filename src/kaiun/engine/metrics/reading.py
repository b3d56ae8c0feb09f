"""Data points as they are asked for: by period and statistic, or calculated by metric math."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaiun.engine.metrics.book import MINUTE_S, Metric, Metricbook
from kaiun.engine.store import Doc
from kaiun.scaling import expression
from kaiun.scaling.calculation import Scope, Series
from kaiun.scaling.statistics import Summary, merged, statistic


@dataclass(frozen=True, slots=True)
class Query:
    """A MetricDataQuery: either `metric` and `stat`, or `text` of metric math."""

    id: str
    period_s: int
    metric: Metric | None = None
    stat: str = ""
    unit: str | None = None
    text: str = ""
    label: str = ""
    is_returned: bool = True


def metric_from(doc: Doc) -> Metric:
    """Return the metric that Namespace, MetricName and Dimensions name."""
    dimensions = sorted((d["Name"], d["Value"]) for d in doc.get("Dimensions", ()))
    return Metric(doc.get("Namespace", ""), doc.get("MetricName", ""), tuple(dimensions))


def queries_from(docs: Sequence[Doc]) -> list[Query]:
    """Return the queries of a request that has been checked."""
    periods = [d["MetricStat"]["Period"] for d in docs if "MetricStat" in d]
    longest_s = max(periods, default=MINUTE_S)
    return [_query(doc, longest_s) for doc in docs]


def _query(doc: Doc, longest_s: int) -> Query:
    returned = doc.get("ReturnData", True)
    label = doc.get("Label", "")
    if "Expression" in doc:
        period_s = doc.get("Period", longest_s)
        text = doc["Expression"]
        return Query(doc["Id"], period_s, text=text, label=label or doc["Id"], is_returned=returned)
    stat = doc["MetricStat"]
    metric = metric_from(stat["Metric"])
    return Query(
        doc["Id"],
        stat["Period"],
        metric,
        stat["Stat"],
        stat.get("Unit"),
        label=label or metric.name,
        is_returned=returned,
    )


def rounded(start: float, period_s: int) -> float:
    """Return a start as CloudWatch rounds it: down to the minute, or to a shorter period."""
    step = min(period_s, MINUTE_S)
    return math.floor(start / step) * step


def summaries(
    book: Metricbook, query: Query, start: float, end: float
) -> dict[float, tuple[Summary, str]]:
    """Return the samples of each period that has some, and their unit; they count from `start`."""
    assert query.metric is not None  # noqa: S101  (it is no expression)
    parts: dict[float, list[Summary]] = defaultdict(list)
    units: dict[float, str] = {}
    for point in book.read(query.metric, start, end, query.unit):
        at = start + (point.at - start) // query.period_s * query.period_s
        parts[at].append(point.summary)
        units[at] = point.unit
    return {at: (merged(own), units[at]) for at, own in parts.items()}


def series_of(
    book: Metricbook, queries: Sequence[Query], start: float, end: float
) -> Mapping[str, Series]:
    """Return each query's series. Raises ValueError for an expression that cannot be had."""
    found: dict[str, Series] = {q.id: _measured(book, q, start, end) for q in queries if q.metric}
    waiting = [q for q in queries if q.metric is None]
    problem: ValueError | None = None
    while waiting:
        for query in waiting:
            try:
                found[query.id] = expression.evaluate(query.text, _scope(found, query, start, end))
            except ValueError as failure:
                problem = failure
                continue
            waiting = [q for q in waiting if q is not query]
            break
        else:
            raise problem or ValueError("an expression refers to itself")
    return found


def _measured(book: Metricbook, query: Query, start: float, end: float) -> Series:
    found = summaries(book, query, start, end)
    values = {at: statistic(query.stat, summary) for at, (summary, _) in found.items()}
    return {at: value for at, value in values.items() if value is not None}


def _scope(found: Mapping[str, Series], query: Query, start: float, end: float) -> Scope:
    count = max(0, math.ceil((end - start) / query.period_s))
    moments = [start + number * query.period_s for number in range(count)]
    return Scope(dict(found), moments, float(query.period_s))
