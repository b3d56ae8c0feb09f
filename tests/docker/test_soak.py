"""Rollouts in a row with real containers, while engine, HAProxy and containers are killed.

KAIUN_SOAK_ROLLOUTS (12) says how many, KAIUN_SOAK_SEED (5) what is drawn; `make soak` does 200
with a seed of its own. After each rollout everything that can be seen from outside is compared:
the Docker Engine's containers, the API's tasks and counts, targets, HAProxy's servers, answers.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.containers import docker
from support.engine import Engine, until
from support.fleet_on_docker import COUNTS, Fleet
from support.mayhem import Mayhem
from support.processes import running

pytestmark = pytest.mark.docker

ROLLOUTS = int(os.environ.get("KAIUN_SOAK_ROLLOUTS", "12"))
SEED = int(os.environ.get("KAIUN_SOAK_SEED", "5"))
STRIKES = 3  # at most, within one rollout
ROLLOUT_S = 180.0
REST_S = 60.0
EARLY = 0.4  # of the rollouts lose the first container that they start
WITHIN = 0.2  # of the rollouts begin with a request that kills the engine
SPARED = 0.25  # of the rollouts, the last ones, leave the engine alive, to see what it holds
MORE_DESCRIPTORS = 8
MORE_KIB = 256  # a rollout: what the API shows of it for an hour, and no more


@pytest.fixture
def machine(tmp_path: Path, image: str) -> Iterator[Engine]:
    engine = Engine(tmp_path, runtime="docker")
    yield engine
    engine.empty_out()


def engine_id(engine: Engine) -> str:
    with urllib.request.urlopen(f"{engine.env['endpoint']}/_kaiun/health") as answer:
        return str(json.load(answer)["engine_id"])


def say(text: str) -> None:
    """Tell how far it is: what pytest shows of a test that fails, and `make soak` at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def await_nothing(problem: Callable[[], str], deadline_s: float) -> None:
    """Return once there is no problem; fails with the last one after the deadline."""
    end = time.monotonic() + deadline_s
    while said := problem():
        assert time.monotonic() < end, said
        time.sleep(0.1)


def begin(fleet: Fleet, mayhem: Mayhem, name: str) -> None:
    """Ask for the rollout, perhaps with a kill right then."""
    drawn = mayhem.choose.random()
    if drawn < EARLY:
        mayhem.at_the_start(lambda: fleet.update(name))
        return
    within = drawn < EARLY + WITHIN and not mayhem.spares_engine
    if not within or not mayhem.within(lambda: fleet.update(name)):
        fleet.update(name)


def roll(fleet: Fleet, mayhem: Mayhem, name: str, version: str) -> None:
    """Roll one service out to a new version, with strikes on the way."""
    fleet.define(name, version)
    begin(fleet, mayhem, name)
    mayhem.rest()
    strikes = mayhem.choose.randint(1, STRIKES)
    end = time.monotonic() + ROLLOUT_S
    while (problem := fleet.disorder()) or strikes:
        assert time.monotonic() < end, problem
        assert not fleet.excess()
        if strikes:
            before = len(mayhem.history)
            mayhem.may_strike()
            strikes -= len(mayhem.history) - before
    await_nothing(fleet.disorder, REST_S)


def test_rollouts_survive_kills_of_everything(machine: Engine, image: str) -> None:
    say(f"KAIUN_SOAK_SEED={SEED} KAIUN_SOAK_ROLLOUTS={ROLLOUTS}")
    fleet = Fleet(machine, engine_id(machine), image)
    mayhem = Mayhem(machine, fleet.engine_id, random.Random(SEED))
    fleet.build()
    await_nothing(fleet.disorder, REST_S)
    spared_from = round(ROLLOUTS * (1 - SPARED))
    before = fleet.footprint()
    for number in range(1, ROLLOUTS + 1):
        if number == spared_from:
            mayhem.spares_engine = True
            before = fleet.footprint()
        began, strikes = time.monotonic(), len(mayhem.history)
        roll(fleet, mayhem, mayhem.choose.choice(sorted(COUNTS)), str(number))
        held, struck = fleet.footprint(), "; ".join(mayhem.history[strikes:])
        say(f"{number}: {time.monotonic() - began:.1f} s, {held}, {struck}")
        assert fleet.wrong_endings(mayhem.killed, mayhem.removed) == []
    after = fleet.footprint()
    assert after.descriptors <= before.descriptors + MORE_DESCRIPTORS
    rolled = ROLLOUTS - spared_from + 1
    assert after.memory_kib <= before.memory_kib + 8192 + MORE_KIB * rolled
    machine.empty_out()
    until(lambda: not running(str(machine.home)))
    mark = f"label=kaiun.engine={fleet.engine_id}"
    assert docker("ps", "--all", "--quiet", "--filter", mark) == ""
    assert docker("network", "ls", "--quiet", "--filter", mark) == ""
    name = f"name=kaiun-{fleet.engine_id[:8]}"
    assert docker("volume", "ls", "--quiet", "--filter", name) == ""
