"""Samples summed up, and their statistics."""

from __future__ import annotations

import pytest

from kaiun.scaling.statistics import Summary, is_statistic, merged, statistic, summary_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [("SampleCount", 4), ("Sum", 20), ("Average", 5), ("Minimum", 2), ("Maximum", 10)],
)
def test_samples_have_the_plain_statistics(name: str, expected: float) -> None:
    assert statistic(name, summary_of({2.0: 1, 4.0: 2, 10.0: 1})) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("p50", 50), ("p90", 90), ("p99.9", 100), ("p100", 100), ("p0", 1)]
)
def test_percentile_is_the_value_that_so_many_samples_do_not_exceed(
    name: str, expected: float
) -> None:
    assert statistic(name, summary_of({float(n): 1 for n in range(1, 101)})) == expected


def test_percentiles_come_within_half_a_percent() -> None:
    found = statistic("p50", summary_of({123.456: 1}))
    assert found == pytest.approx(123.456, rel=0.005)


def test_minutes_merge_into_an_hour() -> None:
    hour = merged((summary_of({1.0: 3}), summary_of({1.0: 1, 9.0: 2})))
    assert (hour.count, hour.total, hour.low, hour.high) == (6, 22, 1, 9)
    assert hour.values == {1.0: 4, 9.0: 2}


def test_sums_alone_tell_no_percentile() -> None:
    told = Summary(count=10, total=50, low=1, high=9)
    assert statistic("p90", told) is None
    assert statistic("p90", merged((told, summary_of({4.0: 1})))) is None
    assert statistic("Average", told) == 5


@pytest.mark.parametrize("name", ["p101", "p", "tm99", "average", "Median", "p-1", ""])
def test_what_is_no_statistic_is_said(name: str) -> None:
    assert not is_statistic(name)
    with pytest.raises(ValueError, match="not a statistic"):
        statistic(name, summary_of({1.0: 1}))
