"""What the engine forgets by itself."""

from __future__ import annotations

from pathlib import Path

from kaiun.engine import identity
from kaiun.engine.clock import Clock
from kaiun.engine.logbook import Logbook
from kaiun.engine.pruning import HISTORY_KEPT_S, prune
from kaiun.engine.store import Store
from kaiun.engine.world import World

NOW = 2_000_000_000.0


def test_history_of_an_alarm_outlives_it_for_a_while(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    clock = Clock(machine=lambda: NOW)
    world = World(store, identity.recall(store), Logbook(store), clock=clock)
    old, new = NOW - HISTORY_KEPT_S - 1, NOW - HISTORY_KEPT_S + 1
    for name, at in (("there", old), ("just-gone", new), ("long-gone", old)):
        world.alarm_histories[name] = {"items": [{"Timestamp": at}]}
    world.metric_alarms["there"] = {"AlarmName": "there"}
    prune(world)
    assert list(world.alarm_histories) == ["there", "just-gone"]
    store.close()
