"""The engine's clock at other paces than the machine's."""

from __future__ import annotations

from pathlib import Path

from kaiun.engine.clock import recall
from kaiun.engine.store import Store


class Machine:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_pace_changes_without_going_back(tmp_path: Path) -> None:
    machine, store = Machine(), Store(tmp_path / "db")
    fast = recall(store, 60, machine)
    machine.now += 10
    assert (fast.now(), fast.real_s(120)) == (1600, 2)
    slow = recall(store, 1, machine)
    machine.now += 10
    assert slow.now() == 1610
    store.close()


def test_engine_that_comes_back_goes_on_from_the_same_clock(tmp_path: Path) -> None:
    machine, store = Machine(), Store(tmp_path / "db")
    recall(store, 60, machine)
    machine.now += 10
    assert recall(store, 60, machine).now() == 1600
    store.close()


def test_usual_clock_is_the_machines_and_leaves_no_trace(tmp_path: Path) -> None:
    machine, store = Machine(), Store(tmp_path / "db")
    assert recall(store, 1, machine).now() == 1000
    assert not len(store.table("clock"))
    store.close()
