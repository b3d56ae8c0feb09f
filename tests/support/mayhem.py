"""Kill, at random moments, what a running local ECS consists of: engine, HAProxy, containers.

What is drawn follows from the seed; when it happens depends on the machine as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.engine import Engine

PAUSE_S = (0.1, 2.5)  # between two kills
DEAD_S = 1.5  # the engine is dead for, at most
NEWCOMER_S = 10.0  # how long to wait for a container that has only just begun
WITHIN_REQUEST_S = 0.03


@dataclass
class Box:
    """One container of the engine, as the Docker Engine has it."""

    id: str
    task: str
    container: str
    state: str
    address: str
    ports: tuple[int, ...]


def boxes(engine_id: str) -> list[Box]:
    """Return every container of one engine's tasks, whatever its state."""
    labels = ("--filter", f"label=kaiun.engine={engine_id}", "--filter", "label=kaiun.task")
    ids = _docker("container", "ls", "--all", "--quiet", "--no-trunc", *labels).split()
    # one that goes meanwhile makes `inspect` fail, but the others are printed all the same
    found = json.loads(_docker("container", "inspect", *ids, check=False) or "[]") if ids else []
    return [_box(inspected) for inspected in found]


def _box(inspected: dict[str, Any]) -> Box:
    marks, settings = inspected["Config"]["Labels"], inspected["NetworkSettings"]
    addresses = [n["IPAddress"] for n in settings["Networks"].values()]
    published = [b for bindings in settings["Ports"].values() for b in bindings or ()]
    return Box(
        id=inspected["Id"],
        task=marks["kaiun.task"],
        container=marks["kaiun.container"],
        state=inspected["State"]["Status"],
        address="".join(addresses),
        ports=tuple(int(binding["HostPort"]) for binding in published),
    )


def door(engine_id: str) -> str:
    """Return the name of the one container of an engine that is no task's."""
    return f"kaiun-{engine_id[:8]}-door"


def _docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Mayhem:
    """`killed`: containers that a kill has hit while they ran; `removed`: those taken away."""

    engine: Engine
    engine_id: str
    choose: random.Random
    spares_engine: bool = False
    killed: set[tuple[str, str]] = field(default_factory=set)
    removed: set[tuple[str, str]] = field(default_factory=set)
    history: list[str] = field(default_factory=list)
    _next: float = 0.0

    def rest(self) -> None:
        """Do nothing for a random time."""
        self._next = time.monotonic() + self.choose.uniform(*PAUSE_S)

    def may_strike(self) -> None:
        """Kill something if it is time to; the engine is up again afterwards."""
        if time.monotonic() < self._next:
            return
        kinds: list[tuple[Callable[[], str], int]] = [
            (self._container, 4),
            (self._process_of_container, 3),
            (self._remove, 1),
            (self._haproxy, 2),
            (self._door, 1),
        ]
        if not self.spares_engine:
            kinds += [(self._engine, 5), (self._engine_and_container, 3)]
        strike = self.choose.choices([k for k, _ in kinds], [weight for _, weight in kinds])[0]
        self.history.append(strike())
        self.rest()

    def within(self, request: Callable[[], object]) -> bool:
        """Kill the engine while it answers; return whether the answer came all the same."""
        timer = threading.Timer(self.choose.uniform(0, WITHIN_REQUEST_S), self.engine.kill)
        timer.start()
        try:
            request()
            answered = True
        except Exception:  # noqa: BLE001  (botocore's many ways to say that nobody is there)
            answered = False
        timer.join()
        self.engine.start()
        self.history.append(f"engine within a request, answered: {answered}")
        return answered

    def at_the_start(self, request: Callable[[], object]) -> None:
        """Kill the first container that a request makes begin, as early as can be; take away one
        that has been created and does not run yet."""
        before = {box.id for box in boxes(self.engine_id)}
        request()
        end = time.monotonic() + NEWCOMER_S
        while not (new := [box for box in boxes(self.engine_id) if box.id not in before]):
            assert time.monotonic() < end, "no container has begun"
        said = self._kill(new[0]) if new[0].state == "running" else self._take_away(new[0])
        self.history.append(f"newcomer: {said}")

    def _engine(self) -> str:
        self.engine.kill()
        time.sleep(self.choose.uniform(0, DEAD_S))  # how long it is away, no condition
        self.engine.start()
        return "engine"

    def _engine_and_container(self) -> str:
        self.engine.kill()
        said = self._container()
        time.sleep(self.choose.uniform(0, DEAD_S))
        self.engine.start()
        return f"engine, and meanwhile {said}"

    def _any(self) -> Box | None:
        found = [box for box in boxes(self.engine_id) if box.state == "running"]
        return self.choose.choice(sorted(found, key=lambda box: box.id)) if found else None

    def _container(self) -> str:
        return self._kill(self._any())

    def _kill(self, box: Box | None) -> str:
        if box is None:
            return "no container"
        with contextlib.suppress(AssertionError):  # it has ended by itself meanwhile
            _docker("kill", "--signal", "KILL", box.id)
            self.killed.add((box.task, box.container))
        return f"container {box.container} of {box.task}"

    def _process_of_container(self) -> str:
        """Kill the first process of a container behind the Docker Engine's back (as root)."""
        box = self._any()
        if box is None or os.getuid() != 0:
            return self._kill(box)
        pid = int(_docker("inspect", "--format", "{{.State.Pid}}", box.id, check=False) or 0)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed.add((box.task, box.container))
        return f"process of {box.container} of {box.task}"

    def _remove(self) -> str:
        box = self._any()
        return self._take_away(box) if box else "no container"

    def _take_away(self, box: Box) -> str:
        self.removed.add((box.task, box.container))
        _docker("rm", "--force", "--volumes", box.id, check=False)
        return f"removed {box.container} of {box.task}"

    def _door(self) -> str:
        """Kill the container that the task metadata endpoint is reached by."""
        _docker("kill", "--signal", "KILL", door(self.engine_id), check=False)
        return "the door of the metadata endpoint"

    def _haproxy(self) -> str:
        """Kill HAProxy's master, or its worker alone."""
        master = process_id(self.engine, "haproxy")
        workers = children(master)
        victim = self.choose.choice([master, *workers])
        with contextlib.suppress(ProcessLookupError):
            if victim:
                os.kill(victim, signal.SIGKILL)
        return f"HAProxy's {'master' if victim == master else 'worker'}"


def process_id(engine: Engine, name: str) -> int:
    """Return the process id of one of the engine's programs, 0 for none."""
    try:
        return int(json.loads((engine.home / f"{name}.pid").read_text())["pid"])
    except FileNotFoundError:
        return 0


def children(pid: int) -> list[int]:
    """Return the processes that a process has started. Source: proc(5), task/[tid]/children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listed:  # noqa: PTH123
            return [int(word) for word in listed.read().split()]
    except OSError:
        return []
