"""What HAProxy's workers say that they have served, made one count for each backend (pure).

A worker's counters begin at nought, as do those of a server that is added again. `stot` counts a
request when it goes to a backend, all others when it is over. Source: HAProxy management guide,
"Statistics and monitoring", CSV format.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from kaiun.engine.balancer.base import Served

_CLASSES: Final = (1, 2, 3, 4, 5)
Row = Mapping[str, str]
Key = tuple[int, str, str]  # worker, backend, server


class Tally:
    """Gathers what is new in the rows of `show stat`, until it is taken."""

    def __init__(self) -> None:
        self._last: dict[Key, dict[str, int]] = {}
        self._requests: Counter[str] = Counter()
        self._all_5xx: Counter[str] = Counter()
        self._answers: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._times: defaultdict[str, Counter[float]] = defaultdict(Counter)

    def begin(self, worker: int, rows: Iterable[Row]) -> None:
        """Take note of where a worker's counters stand that an earlier engine has counted."""
        for row in rows:
            self._last[worker, row["pxname"], row["svname"]] = _numbers(row)

    def note(self, worker: int, rows: Iterable[Row]) -> None:
        for row in rows:
            backend, server = row["pxname"], row["svname"]
            if server == "FRONTEND":
                continue
            new = self._new(worker, row)
            if server == "BACKEND":
                self._requests[backend] += new["stot"]
                self._all_5xx[backend] += new["hrsp_5xx"]
                continue
            counts = {kind: new[f"hrsp_{kind}xx"] for kind in _CLASSES}
            self._answers[backend].update(counts)
            if answered := sum(counts.values()):
                self._times[backend][float(row.get("rtime") or 0) / 1000] += answered

    def _new(self, worker: int, row: Row) -> dict[str, int]:
        key = (worker, row["pxname"], row["svname"])
        before, now = self._last.get(key, {}), _numbers(row)
        self._last[key] = now
        anew = any(now[name] < before.get(name, 0) for name in now)
        return now if anew else {name: now[name] - before.get(name, 0) for name in now}

    def take(self, workers: Collection[int]) -> dict[str, Served]:
        """Return what was gathered since the last time, and forget workers that have ended."""
        self._last = {key: row for key, row in self._last.items() if key[0] in workers}
        taken = {name: self._served(name) for name in self._requests}
        for gathered in (self._requests, self._all_5xx, self._answers, self._times):
            gathered.clear()
        return taken

    def _served(self, backend: str) -> Served:
        answers = {kind: count for kind, count in self._answers[backend].items() if count}
        failed = max(0, self._all_5xx[backend] - answers.get(5, 0))
        return Served(self._requests[backend], answers, failed, dict(self._times[backend]))


def _numbers(row: Row) -> dict[str, int]:
    names = ("stot", *(f"hrsp_{kind}xx" for kind in _CLASSES))
    return {name: int(row.get(name) or 0) for name in names}
