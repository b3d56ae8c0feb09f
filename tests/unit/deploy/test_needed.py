"""Which releases a collection must leave alone, by the history alone."""

from __future__ import annotations

import pytest

from kaiun.deploy.needed import recent
from kaiun.deploy.releases import Record, Result

DAY = 86_400.0


def record(number: int, *, result: str = Result.DEPLOYED, kind: str = "deploy") -> Record:
    image = f"registry.example.com/shop@sha256:{number}"
    return Record(f"r{number}", f"c{number}", "", "me", number * DAY, 1.0, result, image, kind=kind)


HISTORY = [record(n) for n in (9, 8, 7, 6, 5)]  # newest first, one a day


@pytest.mark.parametrize(
    ("count", "since", "kept"),
    [
        (1, 99.0, {"c9"}),  # the last one is live though it is old
        (3, 99.0, {"c9", "c8", "c7"}),
        (1, 7.5, {"c9", "c8", "c7"}),  # 7 was live until 8 began
        (1, 0.0, {"c9", "c8", "c7", "c6", "c5"}),
        (9, 99.0, {"c9", "c8", "c7", "c6", "c5"}),
    ],
)
def test_last_releases_and_last_days_are_kept(count: int, since: float, kept: set[str]) -> None:
    assert {each.revision for each in recent(HISTORY, count, since * DAY)} == kept


def test_releases_that_failed_take_no_place_of_good_ones() -> None:
    history = [record(9, result=Result.ROLLED_BACK), record(8, result=Result.STUCK), *HISTORY[2:]]
    found = {each.revision for each in recent(history, 2, 99 * DAY)}
    assert found == {"c9", "c7", "c6"}


def test_going_back_makes_an_old_release_a_recent_one() -> None:
    back = Record(
        "r10-rollback",
        "c5",
        "",
        "me",
        10 * DAY,
        1.0,
        Result.DEPLOYED,
        "x@sha256:5",
        kind="rollback",
    )
    found = recent([back, *HISTORY], 1, 99 * DAY)
    assert {(each.revision, each.image) for each in found} == {
        ("c5", "sha256:5"),
        ("c5", "sha256:5"),
    }


def test_nothing_is_kept_of_an_empty_history() -> None:
    assert recent([], 10, 0.0) == []
