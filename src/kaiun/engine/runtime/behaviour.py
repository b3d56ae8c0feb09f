"""How an imagined container behaves: told by docker labels of its definition, or for all of them.

A label is `kaiun.null.NAME`; `kaiun local up --runtime null --imagine NAME=VALUE` says what those
without the label do. Times are in ms of the engine's clock, all are optional:

    pull_error    the image cannot be pulled, for this reason
    start_error   the container cannot be started, for this reason
    start_ms      how long it takes to start (0)
    run_ms        it exits by itself after this long (never; 0 where `exit` is given)
    exit          exit code when it exits by itself (0)
    oom           it is killed for its memory when it exits by itself
    health        HEALTHY | UNHEALTHY, of the healthCheck (HEALTHY)
    health_ms     how long until that is known (0)
    target        healthy | unhealthy, to target groups (healthy)
    path          the only path that answers their health checks (any does)
    stop_ms       how long it takes to end after SIGTERM (0)
    stop_exit     exit code after SIGTERM (143)
    log           a line that it writes when it starts
    cpu, memory   percent that it uses of what its task reserves (nothing is known)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.errors import EngineError

PREFIX = "kaiun.null."
_NUMBERS = ("start_ms", "run_ms", "exit", "health_ms", "stop_ms", "stop_exit", "cpu",
            "memory")  # fmt: skip
_CHOICES = {"health": ("HEALTHY", "UNHEALTHY"), "target": ("healthy", "unhealthy")}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the labels say. `run_ms` None: it never ends by itself."""

    pull_error: str = ""
    start_error: str = ""
    start_ms: int = 0
    run_ms: int | None = None
    exit: int = 0
    oom: str | None = None
    health: str = "HEALTHY"
    health_ms: int = 0
    target: str = "healthy"
    path: str | None = None
    stop_ms: int = 0
    stop_exit: int = 143
    log: str = ""
    cpu: int | None = None
    memory: int | None = None


NAMES = tuple(field.name for field in fields(Behaviour))


def read_behaviour(words: Iterable[str]) -> dict[str, str]:
    """Return NAME=VALUE words as labels. Raises EngineError for a name or value that is none."""
    given = dict(word.partition("=")[::2] for word in words)
    for name, value in given.items():
        if problem := _problem(name, value):
            raise EngineError(
                f"--imagine {name}={value}: {problem}", hint=f"names: {', '.join(NAMES)}"
            )
    return {PREFIX + name: value for name, value in given.items()}


def behaviour_of(labels: Mapping[str, str]) -> Behaviour:
    """Return what labels say. Raises RuntimeFailure for one that cannot be."""
    own = {k.removeprefix(PREFIX): v for k, v in labels.items() if k.startswith(PREFIX)}
    for name, value in own.items():
        if problem := _problem(name, value):
            raise RuntimeFailure(
                "CannotStartContainerError", f"label {PREFIX}{name}={value}: {problem}"
            )
    if "exit" in own:
        own.setdefault("run_ms", "0")
    read = {name: int(value) if name in _NUMBERS else value for name, value in own.items()}
    return Behaviour(**read)  # type: ignore[arg-type]


def _problem(name: str, value: str) -> str:
    if name not in NAMES:
        return "no such name"
    if name in _NUMBERS and not (value.isascii() and value.isdigit()):
        return "expected a whole number"
    if value not in _CHOICES.get(name, (value,)):
        return f"expected {' or '.join(_CHOICES[name])}"
    return ""
