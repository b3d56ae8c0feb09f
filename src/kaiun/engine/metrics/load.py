"""The load that imagined services have, told by a file; it may change at any time.

`load.json` in the engine's home: {"CLUSTER/SERVICE": {"cpu": 180, "requests": 1200, …}}.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

log = logging.getLogger(__name__)

FILE = "load.json"


@dataclass(frozen=True, slots=True)
class Load:
    """`cpu`: percent of one task's reservation, shared by all tasks of the service; `memory`:
    percent that each task uses; `requests`: a minute, shared too; `errors`: percent of them that
    are answered with 500. None: nothing is known."""

    cpu: float | None = None
    memory: float | None = None
    requests: float = 0.0
    response_ms: float = 10.0
    errors: float = 0.0


_NAMES = frozenset(field.name for field in fields(Load))


class Loads:
    """Reads the file when it is asked; one that cannot be read is said in the log, once."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._said = ""

    def read(self) -> Mapping[str, Load]:
        """Return loads by "CLUSTER/SERVICE"."""
        try:
            return read_loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as problem:
            if self._said != str(problem):
                self._said = str(problem)
                log.warning("%s: %s", self._file, problem)
            return {}


def read_loads(text: str) -> dict[str, Load]:
    """Return what the file says. Raises ValueError."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("expected an object of services")  # noqa: TRY004
    return {name: _load(name, own) for name, own in content.items()}


def _load(name: str, own: object) -> Load:
    if not isinstance(own, dict) or not own.keys() <= _NAMES:
        raise ValueError(f"{name}: expected an object of {', '.join(sorted(_NAMES))}")
    for key, value in own.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name}: {key}: expected a number from 0, got {value!r}")
    return Load(**own)
