"""The moments of a schedule: rates, zones, daylight saving, start and end, what was missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaiun.engine.schedules.expression import parse, parse_for_rule, zone_of
from kaiun.engine.schedules.timing import Timing, delay_s


def at(text: str) -> float:
    """Return a time in UTC as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def timing(text: str, zone: str = "UTC", **more: Any) -> Timing:
    return Timing(parse(text), ZoneInfo(zone), **more)


def walk(schedule: Timing, after: str, count: int) -> list[str]:
    found: list[str] = []
    moment: float | None = at(after)
    while len(found) < count and moment is not None:
        moment = schedule.following(moment)
        if moment is not None:
            found.append(datetime.fromtimestamp(moment, UTC).strftime("%m-%d %H:%M"))
    return found


def test_local_time_that_spring_skips_has_no_moment() -> None:
    # Berlin, 2027-03-28: 02:00 becomes 03:00
    schedule = timing("cron(30 2 * * ? *)", "Europe/Berlin")
    assert walk(schedule, "2027-03-26 12:00", 3) == ["03-27 01:30", "03-29 00:30", "03-30 00:30"]


def test_local_time_that_autumn_repeats_has_one_moment() -> None:
    # New York, 2026-11-01: 02:00 becomes 01:00
    schedule = timing("cron(30 1 * * ? *)", "America/New_York")
    assert walk(schedule, "2026-10-31 12:00", 2) == ["11-01 05:30", "11-02 06:30"]


def test_the_repeated_hour_is_silent_the_second_time() -> None:
    schedule = timing("cron(0/30 * * * ? *)", "America/New_York")
    assert walk(schedule, "2026-11-01 05:10", 3) == ["11-01 05:30", "11-01 07:00", "11-01 07:30"]


def test_local_time_stays_when_the_offset_changes() -> None:
    schedule = timing("cron(0 9 * * ? *)", "Europe/Berlin")
    assert walk(schedule, "2027-03-26 12:00", 3) == ["03-27 08:00", "03-28 07:00", "03-29 07:00"]


def test_day_of_a_rate_has_24_hours() -> None:
    schedule = timing("rate(1 day)", "Europe/Berlin", base=at("2027-03-27 08:00"))
    assert walk(schedule, "2027-03-27 08:00", 2) == ["03-28 08:00", "03-29 08:00"]


def test_one_time_schedule_has_one_moment_in_its_zone() -> None:
    schedule = timing("at(2026-12-24T18:00:00)", "Asia/Tokyo")
    assert walk(schedule, "2026-01-01 00:00", 2) == ["12-24 09:00"]


def test_one_time_schedule_of_this_minute_is_not_past() -> None:
    schedule = timing("at(2026-12-24T18:00:00)")
    assert schedule.first(at("2026-12-24 18:00:30")) == at("2026-12-24 18:00")
    assert schedule.first(at("2026-12-24 18:02")) is None


def test_one_time_schedule_in_a_skipped_hour_never_comes() -> None:
    assert timing("at(2027-03-28T02:30:00)", "Europe/Berlin").following(0) is None


def test_rate_counts_from_its_base_and_begins_with_it() -> None:
    base = at("2026-11-25 10:00:07")
    schedule = timing("rate(5 minutes)", base=base)
    assert schedule.first(base) == base
    assert schedule.following(base) == base + 300
    assert schedule.following(base + 299.9) == base + 300
    assert schedule.following(base - 10_000) == base


def test_start_and_end_bound_the_moments_and_count_themselves() -> None:
    schedule = timing("cron(0 * * * ? *)", start=at("2026-11-25 10:00"), end=at("2026-11-25 12:00"))
    assert walk(schedule, "2026-11-01 00:00", 9) == ["11-25 10:00", "11-25 11:00", "11-25 12:00"]


def test_what_was_missed_by_far_counts_once() -> None:
    schedule = timing("rate(1 minute)", base=0.0)
    moments, following = schedule.come_due(60.0, 36_000.0, late=36_500.0, lost=0.0)
    assert (moments, following) == ([36_000.0], 36_060.0)


def test_what_was_missed_gives_way_to_what_is_due_now() -> None:
    schedule = timing("rate(1 minute)", base=0.0)
    moments, following = schedule.come_due(60.0, 36_010.0, late=35_890.0, lost=0.0)
    assert (moments, following) == ([35_940.0, 36_000.0], 36_060.0)


def test_what_is_older_than_allowed_is_gone() -> None:
    assert timing("rate(1 day)").come_due(86_400.0, 100_000.0, late=0.0, lost=90_000.0) == (
        [],
        172_800.0,
    )
    once = timing("at(2026-11-25T10:00:00)")
    planned = at("2026-11-25 10:00")
    assert once.come_due(planned, planned + 900, late=planned + 800, lost=planned) == (
        [planned],
        None,
    )
    assert once.come_due(planned, planned + 900, late=planned + 800, lost=planned + 1) == ([], None)


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=6),
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(["2026-10-25", "2026-11-01", "2027-03-14", "2027-03-28", "2027-04-04"]),
)
def test_moments_are_the_first_of_each_local_time_that_a_walk_meets(
    minutes: set[int], hours: set[int], zone: str, day: str
) -> None:
    fields = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * ? *"
    schedule = timing(f"cron({fields})", zone)
    noon = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=UTC)
    met, seen = [], set()
    for moment in (noon + timedelta(minutes=n) for n in range(-3 * 1440, 1440)):
        local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        chosen = local.minute in minutes and local.hour in hours
        if chosen and local not in seen and moment > noon - timedelta(days=2):
            met.append(moment.timestamp())
        seen.add(local)
    found = [(noon - timedelta(days=2)).timestamp()]
    while len(found) <= len(met) and (following := schedule.following(found[-1])) is not None:
        found.append(following)
    assert found[1:] == met


@given(
    after=st.floats(0, 4e9),
    planned=st.floats(0, 1e6),
    count=st.integers(1, 400),
    unit=st.sampled_from(["minutes", "hours", "days"]),
)
def test_next_of_a_rate_is_later_and_at_most_a_period_away(
    after: float, planned: float, count: int, unit: str
) -> None:
    schedule = timing(f"rate({count} {unit})", base=planned)
    following = schedule.following(after)
    period = count * {"minutes": 60, "hours": 3600, "days": 86_400}[unit]
    assert following is not None
    assert following > after or following == planned
    assert following <= max(after, planned) + period + 1e-3


@given(moment=st.floats(0, 4e9), window=st.integers(1, 1440))
def test_flexible_window_is_kept_and_the_same_each_time(moment: float, window: int) -> None:
    delay = delay_s("arn", moment, window * 60.0)
    assert 0 <= delay < window * 60
    assert delay == delay_s("arn", moment, window * 60.0)


@pytest.mark.parametrize(
    "text",
    [
        "", "rate()", "rate(0 minutes)", "rate(-1 minutes)", "rate(1 second)", "rate(1.5 hours)",
        "rate(5minutes)", "cron()", "cron(0 10 * * * *)", "at(2026-11-25)",
        "at(2026-13-01T00:00:00)",
        "at(2026-11-25T10:00:00Z)", "at(0001-01-01T00:00:00)", "every(5 minutes)", "rate(5 minutes",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["rate(1 minutes)", "rate(5 minute)", "at(2026-11-25T10:00:00)"])
def test_rules_refuse_more_than_schedules(text: str) -> None:
    parse(text)
    with pytest.raises(ValueError):
        parse_for_rule(text)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        zone_of(name)
