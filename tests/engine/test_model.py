"""The engine against a model of what ECS promises: thousands of random calls, kills among them.

KAIUN_MODEL_RUNS (8) says how many clusters are gone through, KAIUN_MODEL_STEPS (120) how many calls
each takes at most. The calls are the same in every run, unless KAIUN_MODEL_RUNS is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from support.engine import Engine
from support.fleet_model import Fleet

RUNS = int(os.environ.get("KAIUN_MODEL_RUNS", "8"))
STEPS = int(os.environ.get("KAIUN_MODEL_STEPS", "120"))


@pytest.fixture
def fast_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose clock goes 20 times as fast, so that back-offs do not hold the test up."""
    engine = Engine(tmp_path, "null", "--time-scale", "20")
    yield engine
    engine.shut_down()


def test_engine_keeps_what_the_model_promises(fast_engine: Engine) -> None:
    class Machine(Fleet):
        engine = fast_engine

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="KAIUN_MODEL_RUNS" not in os.environ,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Machine.steps >= RUNS * STEPS // 3
    assert "Traceback" not in fast_engine.log()
