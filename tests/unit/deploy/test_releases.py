from __future__ import annotations

from dataclasses import replace

import pytest
from support.aws_fake import MemoryS3

from kaiun.deploy.releases import Record, Result, history, named, previous_good, release_id, write
from kaiun.deploy.state import State
from kaiun.errors import UsageError

FIRST = Record(
    "20260101T000000Z-aaaaaaaa", "a" * 40, "one", "ann", 1.0, 2.0, Result.DEPLOYED,
    task_definitions={"web": "web:1"},
)  # fmt: skip
SECOND = replace(
    FIRST,
    id="20260102T000000Z-bbbbbbbb",
    revision="b" * 40,
    task_definitions={"web": "web:2"},
)
BAD = replace(
    FIRST,
    id="20260103T000000Z-cccccccc",
    result=Result.ROLLED_BACK,
    task_definitions={"web": "web:3"},
)
THIRD = replace(SECOND, id="20260104T000000Z-dddddddd", task_definitions={"web": "web:4"})
ALL = [THIRD, BAD, SECOND, FIRST]


def test_history_is_newest_first_and_complete() -> None:
    state = State(MemoryS3("b").as_s3(), "b", "kaiun/shop/x/")
    for record in (SECOND, THIRD, FIRST, BAD):
        write(state, record)
    assert history(state) == ALL
    assert history(state, 1) == [THIRD]


def test_ids_sort_by_time_and_name_the_commit() -> None:
    assert release_id("1a2b3c4d5e", 0) == "19700101T000000Z-1a2b3c4d"


def test_going_back_skips_releases_that_failed() -> None:
    assert previous_good(ALL, {"web": "web:4"}) == SECOND


def test_going_back_twice_goes_back_two_releases() -> None:
    again = replace(SECOND, id="20260105T000000Z-bbbbbbbb-rollback", kind="rollback")
    assert previous_good([again, *ALL], {"web": "web:2"}) == FIRST


def test_what_nobody_released_goes_back_to_the_newest_good_release() -> None:
    assert previous_good(ALL, {"web": "web:9"}) == THIRD


def test_nothing_to_go_back_to_is_said() -> None:
    with pytest.raises(UsageError, match="no earlier good release"):
        previous_good([FIRST], {"web": "web:1"})


def test_a_release_is_named_by_id_or_commit() -> None:
    assert named(ALL, "20260102") == SECOND
    assert named(ALL, "aaaa") == BAD
    with pytest.raises(UsageError, match="no release 'zz'"):
        named(ALL, "zz")


def test_without_a_state_bucket_there_is_no_history() -> None:
    write(None, FIRST)
    assert history(None) == []
