"""What HAProxy's workers have served, counted through their coming and going."""

from __future__ import annotations

from kaiun.engine.balancer.base import Served
from kaiun.engine.balancer.tally import Row, Tally


def backend(stot: int, *, bad: int = 0) -> Row:
    return {"pxname": "web", "svname": "BACKEND", "stot": str(stot), "hrsp_5xx": str(bad)}


def server(name: str, good: int, *, bad: int = 0, rtime: int = 20) -> Row:
    own = {"hrsp_2xx": str(good), "hrsp_5xx": str(bad), "rtime": str(rtime)}
    return {"pxname": "web", "svname": name, **own}


def test_what_is_new_since_the_last_time_is_taken() -> None:
    tally = Tally()
    tally.note(1, [server("a", 3), backend(3)])
    assert tally.take([1]) == {"web": Served(3, {2: 3}, 0, {0.02: 3})}
    tally.note(1, [server("a", 3), server("b", 2, rtime=50), backend(5)])
    assert tally.take([1]) == {"web": Served(2, {2: 2}, 0, {0.05: 2})}
    tally.note(1, [server("a", 3), server("b", 2), backend(5)])
    assert tally.take([1]) == {"web": Served()}


def test_workers_count_each_for_itself() -> None:
    tally = Tally()
    tally.note(1, [server("a", 3), backend(3)])
    tally.note(2, [server("a", 1), backend(1)])
    tally.note(1, [server("a", 4), backend(4)])
    assert tally.take([2])["web"].requests == 5


def test_counters_of_a_server_that_was_added_again_begin_anew() -> None:
    tally = Tally()
    tally.note(1, [server("a", 7), backend(7)])
    tally.note(1, [server("a", 2), backend(9)])
    assert tally.take([1])["web"].answers == {2: 9}


def test_errors_that_no_target_made_are_the_load_balancers() -> None:
    tally = Tally()
    tally.note(1, [server("a", 5, bad=2), backend(10, bad=5)])
    served = tally.take([1])["web"]
    assert (served.answers, served.failed) == ({2: 5, 5: 2}, 3)


def test_what_an_earlier_engine_has_counted_is_not_counted_again() -> None:
    tally = Tally()
    tally.begin(1, [server("a", 7), backend(7)])
    tally.note(1, [server("a", 8), backend(8)])
    assert tally.take([1])["web"].requests == 1
