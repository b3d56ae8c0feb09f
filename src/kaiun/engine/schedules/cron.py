"""AWS's cron expressions: minutes, hours, day of month, month, day of week, year.

One of the two days has to be "?". Sources: EventBridge Scheduler user guide, "Cron-based
schedules"; EventBridge user guide, "Cron expressions". What they leave open is as in Quartz, where
the dialect comes from: "L" as the day of week is Saturday, "LW" the month's last weekday.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

Days = Callable[[int, int], set[int]]  # year, month → days of the month

_MONTHS = {name.upper(): n for n, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: n for n, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
FIRST_YEAR, LAST_YEAR = 1970, 2199


@dataclass(frozen=True, slots=True)
class Cron:
    """Sorted values of the plain fields; `days` has one rule for each element of the day's."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    days: tuple[Days, ...]

    def moments(self, after: datetime) -> Iterator[datetime]:
        """Yield the local times after a local time, in order."""
        for day in self._days(after):
            for hour in self.hours:
                for minute in self.minutes:
                    moment = datetime(day.year, day.month, day.day, hour, minute)
                    if moment > after:
                        yield moment

    def _days(self, since: datetime) -> Iterator[date]:
        for year in self.years:
            for month in self.months:
                if (year, month) >= (since.year, since.month):
                    chosen = set().union(*(rule(year, month) for rule in self.days))
                    days = (date(year, month, day) for day in sorted(chosen))
                    yield from (day for day in days if day >= since.date())


def parse(fields: str) -> Cron:
    """Return what stands between the parentheses of "cron(…)". Raises ValueError."""
    parts = fields.upper().split()
    if len(parts) != 6:
        raise ValueError("a cron expression has six fields")
    minutes, hours, days, months, weekdays, years = parts
    if (days == "?") == (weekdays == "?"):
        raise ValueError("one of day-of-month and day-of-week has to be ?, the other not")
    return Cron(
        minutes=_values(minutes, 0, 59),
        hours=_values(hours, 0, 23),
        months=_values(months, 1, 12, _MONTHS),
        years=_values(years, FIRST_YEAR, LAST_YEAR),
        days=tuple(
            _weekday_rule(part) if days == "?" else _day_rule(part)
            for part in (weekdays if days == "?" else days).split(",")
        ),
    )


def _values(
    field: str, low: int, high: int, names: dict[str, int] | None = None
) -> tuple[int, ...]:
    """Return the values of a list of "*", "a", "a-b", each with "/n" if need be."""
    values: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else _number(first, low, high, names or {})
        if dash:
            end = _number(last, low, high, names or {})
        else:
            end = high if span == "*" or slash else start
        if end < start and low == FIRST_YEAR:
            raise ValueError(f"{part}: ends before it begins")
        past = end if end >= start else end + high - low + 1  # FRI-MON goes round
        walked = range(start, past + 1, _number(step, 1, high, {}) if slash else 1)
        values.update(low + (value - low) % (high - low + 1) for value in walked)
    return tuple(sorted(values))


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    if text not in names and not re.fullmatch("[0-9]{1,4}", text):
        raise ValueError(f"{text}: not a value")
    value = names[text] if text in names else int(text)
    if not low <= value <= high:
        raise ValueError(f"{text}: not between {low} and {high}")
    return value


def _day_rule(part: str) -> Days:
    if part == "L":
        return lambda year, month: {_length(year, month)}
    if part == "LW":
        return lambda year, month: {_nearest_weekday(year, month, _length(year, month))}
    if part.startswith("L-"):
        before = _number(part[2:], 1, 30, {})
        return lambda y, m: {_length(y, m) - before} if before < _length(y, m) else set()
    if part.endswith("W"):
        day = _number(part[:-1], 1, 31, {})
        return lambda y, m: {_nearest_weekday(y, m, day)} if day <= _length(y, m) else set()
    values = _values(part, 1, 31)
    return lambda year, month: {day for day in values if day <= _length(year, month)}


def _weekday_rule(part: str) -> Days:
    if part == "L":
        return lambda year, month: set(_each(year, month, 7))
    if "#" in part:
        name, _, number = part.partition("#")
        weekday, nth = _number(name, 1, 7, _WEEKDAYS), _number(number, 1, 5, {})
        return lambda year, month: set(_each(year, month, weekday)[nth - 1 : nth])
    if part.endswith("L"):
        last = _number(part[:-1], 1, 7, _WEEKDAYS)
        return lambda year, month: set(_each(year, month, last)[-1:])
    values = _values(part, 1, 7, _WEEKDAYS)
    return lambda year, month: {day for value in values for day in _each(year, month, value)}


def _each(year: int, month: int, weekday: int) -> range:
    """Return the days of a month that are such a day of the week; Sunday is 1."""
    first = (date(year, month, 1).weekday() + 1) % 7 + 1
    return range(1 + (weekday - first) % 7, _length(year, month) + 1, 7)


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, in its month."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < _length(year, month) else day - 2
    return day


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]
