"""Start and stop the process of the local ECS.

`up` starts `kaiun-engine` from the environment that runs kaiun, detached from the terminal, and
returns when its health endpoint answers. Two `up` at once are one: the second waits for the first
and finds the engine running.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kaiun.errors import EngineError
from kaiun.local import admin
from kaiun.local import home as places
from kaiun.local.home import LocalEnv, read_env, read_pid

UP_DEADLINE_S = 30.0
STOP_DEADLINE_S = 180.0  # longer than ECS's longest stopTimeout (120 s)
POLL_S = 0.02
LOG_TAIL = 15
SAID = "kaiun-engine: "  # how the engine begins the error that it ends with, and its hint
HINT = "hint: "


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on loopback; 0 = ephemeral, None = what was used last, else the default."""

    api: int | None = None
    registry: int | None = None
    fluent: int | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an engine for tests is told: `imagined` is NAME=VALUE of imagined containers."""

    time_scale: float = 1.0
    imagined: tuple[str, ...] = ()
    allow_reset: bool = False

    def options(self) -> list[str]:
        """Return it as options of kaiun-engine."""
        words = [f"--time-scale={self.time_scale:g}"] if self.time_scale != 1 else []
        words += [f"--imagine={word}" for word in self.imagined]
        return [*words, *(["--allow-reset"] if self.allow_reset else [])]


@dataclass(frozen=True, slots=True)
class Started:
    """A running engine; `already` when it ran before, `seconds` until it answered."""

    env: LocalEnv
    pid: int | None
    already: bool
    seconds: float


def running(home: Path) -> tuple[LocalEnv, admin.Health] | None:
    """Return how to reach the engine of `home` and its health, or None when it does not run."""
    try:
        env = read_env(home)
    except EngineError:
        return None
    health = admin.health(env.endpoint)
    if health is None or not _is_ours(home, health):
        return None
    return env, health


def up(
    home: Path,
    ports: Ports | None = None,
    *,
    runtime: str = "docker",
    rehearsal: Rehearsal | None = None,
    program: Sequence[str] | None = None,
) -> Started:
    """Start the engine unless it runs; return once it answers.

    `program` is the command to start, by default the kaiun-engine that came with this kaiun.

    Raises EngineError with the end of engine.log when it exits early or does not answer within
    UP_DEADLINE_S.
    """
    began = time.monotonic()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _exclusive(home / places.UP_LOCK):
        if found := running(home):
            env, health = found
            return Started(env, health.pid, already=True, seconds=0.0)
        if (pid := read_pid(home)) is not None and _is_engine(pid):
            _wait(lambda: running(home) is not None, UP_DEADLINE_S, lambda: _silent(home))
            env, health = _found(home)
            return Started(env, health.pid, already=True, seconds=time.monotonic() - began)
        options = _options(home, ports or Ports(), runtime)
        options += (rehearsal or Rehearsal()).options()
        env, pid = _start(home, [*(program or [_program()]), *options])
    return Started(env, pid, already=False, seconds=time.monotonic() - began)


def down(home: Path) -> bool:
    """Stop the tasks' containers, the side services and the engine; the desired state stays.

    What a killed engine left running is stopped too: by an engine that is started for that.
    Returns False when nothing ran. Raises EngineError when it does not end in STOP_DEADLINE_S.
    """
    found = running(home)
    if found is None and any((home / name).exists() for name in places.PID_FILES):
        up(home, runtime=_runtime_before(home))
        found = running(home)
    if found is None:
        return False
    env, health = found
    pid = health.pid or read_pid(home)
    admin.post(env, "/_kaiun/shutdown", STOP_DEADLINE_S)
    _wait(lambda: not _alive(pid, env), STOP_DEADLINE_S, lambda: _late(home))
    return True


def reset(home: Path) -> None:
    """Forget every cluster, service and task of the running engine and remove its containers."""
    found = running(home)
    if found is None:
        raise places.not_running()
    admin.post(found[0], "/_kaiun/reset", STOP_DEADLINE_S)


def log_tail(home: Path, count: int = LOG_TAIL, *, offset: int = 0) -> tuple[str, ...]:
    """Return the last lines of engine.log after byte `offset`."""
    try:
        with (home / places.ENGINE_LOG).open("rb") as log:
            log.seek(offset)
            return tuple(log.read().decode(errors="replace").splitlines()[-count:])
    except OSError:
        return ()


def _start(home: Path, command: list[str]) -> tuple[LocalEnv, int]:
    log_path = home / places.ENGINE_LOG
    offset = log_path.stat().st_size if log_path.exists() else 0
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=home,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)

    def answers() -> bool:
        if (code := process.poll()) is not None:
            raise _ended(home, code, offset)
        found = running(home)
        return found is not None and found[1].pid in (None, process.pid)

    _wait(answers, UP_DEADLINE_S, lambda: _silent(home))
    process.returncode = 0  # it lives on: keeps Popen from warning about a running child
    return read_env(home), process.pid


def _options(home: Path, ports: Ports, runtime: str) -> list[str]:
    before = _ports_before(home)
    api = _first(ports.api, before.api, places.API_PORT)
    registry = _first(ports.registry, before.registry, places.REGISTRY_PORT)
    fluent = _first(ports.fluent, before.fluent, places.FLUENT_PORT)
    # fmt: off
    return [
        "--home", str(home), "--port", str(api), "--registry-port", str(registry),
        "--fluent-port", str(fluent), "--runtime", runtime,
    ]
    # fmt: on


def _program() -> str:
    beside = Path(sys.executable).parent / "kaiun-engine"
    found = str(beside) if beside.exists() else shutil.which("kaiun-engine")
    if found is None:
        raise EngineError("kaiun-engine is not installed", hint="pip install 'kaiun[engine]'")
    return found


def _ports_before(home: Path) -> Ports:
    try:
        env = read_env(home)
    except EngineError:
        return Ports()
    return Ports(urlsplit(env.endpoint).port, _port(env.registry), _port(env.fluent))


def _runtime_before(home: Path) -> str:
    with suppress(OSError, ValueError, TypeError, KeyError):
        return str(json.loads((home / places.ENV_JSON).read_text())["runtime"])
    return "docker"


def _port(address: str) -> int | None:
    tail = address.rpartition(":")[2]
    return int(tail) if tail.isdigit() else None


def _first(*choices: int | None) -> int:
    return next(choice for choice in choices if choice is not None)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(
    condition: Callable[[], bool], deadline_s: float, late: Callable[[], EngineError]
) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise late()
        time.sleep(POLL_S)


def _found(home: Path) -> tuple[LocalEnv, admin.Health]:
    found = running(home)
    if found is None:
        raise places.not_running()
    return found


def _is_ours(home: Path, health: admin.Health) -> bool:
    """Another engine may have taken the port that a dead one of this home left in env.json."""
    pid = read_pid(home)
    return health.pid is None or pid is None or pid == health.pid


def _is_engine(pid: int) -> bool:
    try:
        return b"kaiun" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _alive(pid: int | None, env: LocalEnv) -> bool:
    if pid is None:
        return admin.health(env.endpoint) is not None
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _ended(home: Path, code: int, offset: int) -> EngineError:
    """Return the engine's own error where its log ends with one, else the end of the log."""
    tail = log_tail(home, offset=offset)
    said = [line.removeprefix(SAID) for line in tail if line.startswith(SAID)]
    if said:
        hint = next((x.removeprefix(HINT) for x in tail if x.startswith(HINT)), "")
        return EngineError(said[-1], hint=hint)
    return EngineError(
        f"the local ECS ended at its start (exit code {code})",
        where=str(home / places.ENGINE_LOG),
        detail=tail,
    )


def _silent(home: Path) -> EngineError:
    return EngineError(
        f"the local ECS does not answer after {UP_DEADLINE_S:g} s",
        where=str(home / places.ENGINE_LOG),
        detail=log_tail(home),
    )


def _late(home: Path) -> EngineError:
    return EngineError(
        f"the local ECS did not stop within {STOP_DEADLINE_S:g} s",
        where=str(home / places.ENGINE_LOG),
        detail=log_tail(home),
    )
