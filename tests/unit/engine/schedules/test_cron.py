"""AWS's cron dialect: what it means, and what is no expression."""

from __future__ import annotations

import calendar
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaiun.engine.schedules import cron

Test = Callable[[datetime], bool]
Field = tuple[str, Test]  # as it is written, and whether a time satisfies it


def next_days(fields: str, after: str, count: int = 3) -> list[str]:
    moments = cron.parse(fields).moments(datetime.fromisoformat(after))
    return [moment.isoformat(" ", "minutes") for moment in itertools.islice(moments, count)]


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ("0 10 * * ? *", "2026-02-27 10:00", ["2026-02-28 10:00", "2026-03-01 10:00"]),
        ("15 12 * * ? *", "2026-12-31 12:15", ["2027-01-01 12:15", "2027-01-02 12:15"]),
        ("0 18 ? * MON-FRI *", "2026-11-27 18:00", ["2026-11-30 18:00", "2026-12-01 18:00"]),
        ("0 8 1 * ? *", "2026-11-25 00:00", ["2026-12-01 08:00", "2027-01-01 08:00"]),
        ("0/10 * ? * mon-fri *", "2026-11-27 23:45", ["2026-11-27 23:50", "2026-11-30 00:00"]),
        ("1/10 0 ? * * *", "2026-11-27 00:00", ["2026-11-27 00:01", "2026-11-27 00:11"]),
        ("0/5 8-17 ? * MON-FRI *", "2026-11-27 17:50", ["2026-11-27 17:55", "2026-11-30 08:00"]),
        ("30 0,12 L * ? *", "2028-02-01 00:00", ["2028-02-29 00:30", "2028-02-29 12:30"]),
        ("0 0 LW * ? *", "2026-05-01 00:00", ["2026-05-29 00:00", "2026-06-30 00:00"]),
        ("0 0 3W * ? *", "2026-10-01 00:00", ["2026-10-02 00:00", "2026-11-03 00:00"]),
        ("0 0 1W * ? *", "2026-07-30 00:00", ["2026-08-03 00:00", "2026-09-01 00:00"]),
        ("0 0 31W * ? *", "2026-05-01 00:00", ["2026-05-29 00:00", "2026-07-31 00:00"]),
        ("0 0 ? * 3#2 *", "2026-11-01 00:00", ["2026-11-10 00:00", "2026-12-08 00:00"]),
        ("0 0 ? * FRI#5 *", "2026-11-01 00:00", ["2027-01-29 00:00", "2027-04-30 00:00"]),
        ("0 0 ? * 6L *", "2026-11-01 00:00", ["2026-11-27 00:00", "2026-12-25 00:00"]),
        ("15 10 ? * 6L 2022-2023", "2022-12-01 00:00", ["2022-12-30 10:15", "2023-01-27 10:15"]),
        ("0 0 ? * L *", "2026-11-25 00:00", ["2026-11-28 00:00", "2026-12-05 00:00"]),
        ("0 0 1,15,L * ? *", "2026-11-16 00:00", ["2026-11-30 00:00", "2026-12-01 00:00"]),
        ("0 0 L-3 * ? *", "2027-02-01 00:00", ["2027-02-25 00:00", "2027-03-28 00:00"]),
        ("0 0 L-30 * ? *", "2027-02-01 00:00", ["2027-03-01 00:00", "2027-05-01 00:00"]),
        ("0 0 ? * FRI-MON *", "2026-11-27 00:00", ["2026-11-28 00:00", "2026-11-29 00:00"]),
        ("0 22-2/2 * * ? *", "2026-11-27 02:00", ["2026-11-27 22:00", "2026-11-28 00:00"]),
        ("0 0 1 NOV-FEB ? *", "2026-12-01 00:00", ["2027-01-01 00:00", "2027-02-01 00:00"]),
        ("0 0 29 2 ? *", "2026-01-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 1 1 ? 2030", "2026-01-01 00:00", ["2030-01-01 00:00"]),
        ("0 0 30 FEB ? *", "2026-01-01 00:00", []),
        ("0 0 1 1 ? 2020", "2026-01-01 00:00", []),
    ],
)
def test_expression_means_what_the_guide_says(fields: str, after: str, expected: list[str]) -> None:
    assert next_days(fields, after, 2) == expected


@pytest.mark.parametrize(
    "fields",
    [
        "0 10 * * ?", "0 10 * * ? * *", "0 10 * * * *", "0 10 ? * ? *", "60 10 * * ? *",
        "0 24 * * ? *", "0 10 0 * ? *", "0 10 32 * ? *", "0 10 * 13 ? *", "0 10 ? * 8 *",
        "0 10 ? * 0 *", "0 10 * * ? 1969", "0 10 * * ? 2200", "? 10 * * ? *", "0 10 * ? ? *",
        "0/0 10 * * ? *", "0 10 ? * MON#6 *", "0 10 ? * MON#0 *",
        "0 10 ? * 3W *", "0 10 W * ? *",
        "0 10 L-0 * ? *", "0 10 L-31 * ? *", "0 10 * * ? 2030-2029",
        "0 10 * FOO ? *", "-1 10 * * ? *",
        "1, 10 * * ? *", "0 10 32W * ? *", "a 10 * * ? *", "0 10 1#2 * ? *", "", "* 10 ? * L# *",
        "1/ 10 * * ? *", "٣ 10 * * ? *", "*-5 10 * * ? *",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(fields: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(fields)


def spans(low: int, high: int, of: Callable[[datetime], int]) -> st.SearchStrategy[Field]:
    """Return lists of values, ranges and increments of one field."""
    number = st.integers(low, high)
    ordered = st.tuples(number, number).map(sorted)
    step = st.integers(1, high)
    part = st.one_of(
        st.just(("*", frozenset(range(low, high + 1)))),
        number.map(lambda n: (str(n), frozenset([n]))),
        ordered.map(lambda p: (f"{p[0]}-{p[1]}", frozenset(range(p[0], p[1] + 1)))),
        st.tuples(number, step).map(
            lambda p: (f"{p[0]}/{p[1]}", frozenset(n for n in range(p[0], high + 1, p[1])))
        ),
    )
    return st.lists(part, min_size=1, max_size=3).map(
        lambda parts: (
            ",".join(text for text, _ in parts),
            lambda t: any(of(t) in values for _, values in parts),
        )
    )


def weekday(t: datetime) -> int:
    return t.isoweekday() % 7 + 1


def length(t: datetime) -> int:
    return calendar.monthrange(t.year, t.month)[1]


def is_nearest_weekday(t: datetime, day: int) -> bool:
    """Walk outwards from a day, within its month, until there is a weekday: the earlier first."""
    for distance in range(4):
        for candidate in (day - distance, day + distance):
            if 1 <= candidate <= length(t) and t.replace(day=candidate).isoweekday() <= 5:
                return candidate == t.day
    return False


plain_days = spans(1, 31, lambda t: t.day)
odd_days = st.one_of(
    st.just(("L", lambda t: t.day == length(t))),
    st.just(("LW", lambda t: is_nearest_weekday(t, length(t)))),
    st.integers(1, 31).map(
        lambda n: (f"{n}W", lambda t: n <= length(t) and is_nearest_weekday(t, n))
    ),
)
plain_weekdays = spans(1, 7, weekday)
odd_weekdays = st.one_of(
    st.just(("L", lambda t: weekday(t) == 7)),
    st.tuples(st.integers(1, 7), st.integers(1, 5)).map(
        lambda p: (
            f"{p[0]}#{p[1]}",
            lambda t: weekday(t) == p[0] and (t.day - 1) // 7 + 1 == p[1],
        )
    ),
    st.integers(1, 7).map(lambda n: (f"{n}L", lambda t: weekday(t) == n and t.day + 7 > length(t))),
)
of_month = st.one_of(plain_days, odd_days).map(lambda f: (f[0], "?", f[1]))
of_week = st.one_of(plain_weekdays, odd_weekdays).map(lambda f: ("?", f[0], f[1]))


@settings(max_examples=150, deadline=None)
@given(
    minute=spans(0, 59, lambda t: t.minute),
    hour=spans(0, 23, lambda t: t.hour),
    month=spans(1, 12, lambda t: t.month),
    day=st.one_of(of_month, of_week),
    start=st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1)),
)
def test_moments_are_those_that_a_walk_through_all_minutes_meets(
    minute: Field, hour: Field, month: Field, day: tuple[str, str, Test], start: datetime
) -> None:
    fields = f"{minute[0]} {hour[0]} {day[0]} {month[0]} {day[1]} *"
    met: list[datetime] = []
    moment = start.replace(second=0, microsecond=0)
    end = start + timedelta(days=70)
    while moment < end and len(met) < 40:
        if not (day[2](moment) and month[1](moment)):
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            continue
        if moment > start and hour[1](moment) and minute[1](moment):
            met.append(moment)
        moment += timedelta(minutes=1)
    found = itertools.islice(cron.parse(fields).moments(start), len(met) + 1)
    assert [m for m in found if m < end][: len(met)] == met
    if len(met) < 40:
        following = next(itertools.islice(cron.parse(fields).moments(start), len(met), None), end)
        assert following >= end
