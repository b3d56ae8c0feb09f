"""Who waits for another's build sees what it tells, and how it ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kaiun.errors import ConfigError, ConfigErrors, ImageError, Interrupted, KaiunError
from kaiun.image import lock, record
from kaiun.image.events import BuildEvent
from kaiun.image.messages import from_event, from_problem, to_event, to_problem

NAME = "localhost:5000/shop:1"
STEP = BuildEvent("build", "started", "RUN make", step=2, total=3, image="shop")
LINE = BuildEvent("build", "output", "RUN make", "cc -c main.c\u2028", seconds=0.25)


def follower(home: Path, seen: list[BuildEvent]) -> record.Follower:
    return record.Follower(home, NAME, seen.append)


def test_what_is_told_meanwhile_and_before_is_heard_once(tmp_path: Path) -> None:
    told: list[BuildEvent] = []
    seen: list[BuildEvent] = []
    with record.kept(tmp_path, NAME, told.append) as tell, follower(tmp_path, seen) as other:
        tell(STEP)
        assert other.look()
        assert not other.look()
        tell(LINE)
        other.look()
    assert told == [STEP, LINE]
    assert seen == [record.WAITING, STEP, LINE]
    assert other.failure is None
    assert not record.path_of(tmp_path, NAME).exists()


def test_last_words_are_heard_after_the_end(tmp_path: Path) -> None:
    seen: list[BuildEvent] = []
    failed = ImageError("the build failed at RUN make", where=NAME, hint="h", detail=["exit 1"])
    with follower(tmp_path, seen) as other:
        with (
            pytest.raises(ImageError),
            record.kept(tmp_path, NAME, lambda _: None) as tell,
        ):
            other.look()
            tell(LINE)
            raise failed
        other.read()
    assert seen == [record.WAITING, LINE]
    assert other.failure
    assert from_problem(other.failure) == from_problem(failed)
    found = record.failure_in(record.path_of(tmp_path, NAME))
    assert found
    assert str(found) == str(failed)


def test_a_stopped_build_leaves_no_record_and_is_no_failure(tmp_path: Path) -> None:
    with follower(tmp_path, []) as other:
        with pytest.raises(Interrupted), record.kept(tmp_path, NAME, lambda _: None):
            other.look()
            raise Interrupted("interrupted")
        other.read()
    assert other.failure is None
    assert not record.path_of(tmp_path, NAME).exists()


def test_an_older_failure_is_not_taken_for_the_running_build(tmp_path: Path) -> None:
    with pytest.raises(ImageError), record.kept(tmp_path, NAME, lambda _: None) as tell:
        tell(STEP)
        raise ImageError("of yesterday")
    seen: list[BuildEvent] = []
    with follower(tmp_path, seen) as other:
        other.look()
        assert (seen, other.failure) == ([record.WAITING], None)
        with record.kept(tmp_path, NAME, lambda _: None) as tell:
            tell(LINE)
            other.look()
    assert seen == [record.WAITING, LINE]


def test_failures_are_swept_after_a_week(tmp_path: Path) -> None:
    with pytest.raises(ImageError), record.kept(tmp_path, NAME, lambda _: None):
        raise ImageError("long ago")
    path = record.path_of(tmp_path, NAME)
    long_ago = time.time() - record.KEPT_S - 1
    os.utime(path, (long_ago, long_ago))
    with record.kept(tmp_path, "other:1", lambda _: None):
        assert not path.exists()


@pytest.mark.parametrize("event", [STEP, LINE, BuildEvent("note", "output")])
def test_events_survive_the_wire(event: BuildEvent) -> None:
    assert to_event(from_event(event)) == event


@pytest.mark.parametrize(
    "problem",
    [
        ImageError("m", where="w", hint="h", detail=["d"]),
        Interrupted("m"),
        ConfigErrors([ConfigError("m", where="kaiun.yml:1:2"), ConfigError("n")]),
    ],
)
def test_problems_survive_the_wire(problem: KaiunError) -> None:
    again = to_problem(from_problem(problem))
    assert type(again) is type(problem)
    assert from_problem(again) == from_problem(problem)


def test_a_kind_of_problem_from_the_future_is_an_image_error() -> None:
    given = {"kind": "Sequence", "message": "m", "weight": 3}
    assert isinstance(to_problem(given), ImageError)


def test_a_lock_tells_whether_it_is_held(tmp_path: Path) -> None:
    from kaiun.image.stop import Stop

    path = lock.path_of(tmp_path, NAME)
    assert not lock.is_held(path)
    with lock.held(tmp_path, NAME, Stop(), lambda: None):
        assert lock.is_held(path)
    assert not lock.is_held(path)
