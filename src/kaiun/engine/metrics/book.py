"""Data points of metrics, in SQLite, bounded.

A data point sums up a minute; one that was put with a storage resolution of a second, that second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kaiun.engine.store import Store
from kaiun.scaling.statistics import Summary, merged

MINUTE_S: Final = 60
KEPT_S: Final = 15 * 86_400.0  # CloudWatch: of data points of a minute
MAX_POINTS: Final = 500_000
_TRIM_EVERY: Final = 5_000


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is known by; the dimensions are sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """Samples of a metric in the span that begins at `at`."""

    metric: Metric
    at: float
    summary: Summary
    unit: str = "None"


def metric_of(namespace: str, name: str, **dimensions: str) -> Metric:
    return Metric(namespace, name, tuple(sorted(dimensions.items())))


class Metricbook:
    """All data points. What is written holds, once this returns."""

    def __init__(self, store: Store) -> None:
        self._db = store.db
        self._since_trim = 0

    def write(self, points: Iterable[Point]) -> None:
        """Add samples to what is there for their span."""
        self._db.execute("BEGIN")
        try:
            for point in points:
                self._put(point)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _put(self, point: Point) -> None:
        series, summary = self._series(point.metric), point.summary
        found = self._db.execute(
            "SELECT body FROM metric_point WHERE series = ? AND at = ? AND unit = ?",
            (series, point.at, point.unit),
        ).fetchone()
        if found:
            summary = merged((_load(found[0]), summary))
        self._db.execute(
            "INSERT OR REPLACE INTO metric_point (series, at, unit, body) VALUES (?, ?, ?, ?)",
            (series, point.at, point.unit, _dump(summary)),
        )
        self._since_trim += 1
        if self._since_trim >= _TRIM_EVERY:
            self._since_trim = 0
            self._trim(point.at)

    def _series(self, metric: Metric) -> int:
        key = (metric.namespace, metric.name, json.dumps(metric.dimensions))
        found = self._db.execute(
            "SELECT id FROM metric WHERE namespace = ? AND name = ? AND dimensions = ?", key
        ).fetchone()
        if found:
            return int(found[0])
        made = self._db.execute(
            "INSERT INTO metric (namespace, name, dimensions) VALUES (?, ?, ?)", key
        )
        return int(made.lastrowid or 0)

    def _trim(self, now: float) -> None:
        self._db.execute("DELETE FROM metric_point WHERE at < ?", (now - KEPT_S,))
        self._db.execute(
            "DELETE FROM metric_point WHERE id <= (SELECT max(id) FROM metric_point) - ?",
            (MAX_POINTS,),
        )
        self._db.execute("DELETE FROM metric WHERE id NOT IN (SELECT series FROM metric_point)")

    def read(
        self, metric: Metric, start: float, end: float, unit: str | None = None
    ) -> list[Point]:
        """Return the data points from `start` to before `end`, oldest first."""
        rows = self._db.execute(
            "SELECT at, unit, body FROM metric_point JOIN metric ON metric.id = series"
            " WHERE namespace = ? AND name = ? AND dimensions = ? AND at >= ? AND at < ?"
            " ORDER BY at",
            (metric.namespace, metric.name, json.dumps(metric.dimensions), start, end),
        )
        return [
            Point(metric, at, _load(body), told) for at, told, body in rows if unit in (None, told)
        ]

    def metrics(self, since: float) -> list[Metric]:
        """Return the metrics that have a data point since then, in order."""
        rows = self._db.execute(
            "SELECT namespace, name, dimensions FROM metric"
            " WHERE id IN (SELECT series FROM metric_point WHERE at >= ?)"
            " ORDER BY namespace, name, dimensions",
            (since,),
        )
        return [
            Metric(space, name, tuple((key, value) for key, value in json.loads(dimensions)))
            for space, name, dimensions in rows
        ]


def _dump(summary: Summary) -> str:
    own = (summary.count, summary.total, summary.low, summary.high)
    return json.dumps([*own, list(summary.values.items())], separators=(",", ":"))


def _load(body: str) -> Summary:
    count, total, low, high, values = json.loads(body)
    return Summary(count, total, low, high, dict(values))
