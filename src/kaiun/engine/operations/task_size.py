"""How much CPU and memory a task may ask for.

Source: ECS developer guide, "Amazon ECS task definition parameters" (Fargate's pairs).
"""

from __future__ import annotations

import re

from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc

_GB = 1024


FARGATE_MEMORY = {
    256: frozenset((512, 1 * _GB, 2 * _GB)),
    512: frozenset(range(1 * _GB, 4 * _GB + 1, _GB)),
    1024: frozenset(range(2 * _GB, 8 * _GB + 1, _GB)),
    2048: frozenset(range(4 * _GB, 16 * _GB + 1, _GB)),
    4096: frozenset(range(8 * _GB, 30 * _GB + 1, _GB)),
    8192: frozenset(range(16 * _GB, 60 * _GB + 1, 4 * _GB)),
    16384: frozenset(range(32 * _GB, 120 * _GB + 1, 8 * _GB)),
}


def check_sums(request: Doc) -> None:
    """Raise ClientException where the containers ask for more than their task has."""
    containers = request["containerDefinitions"]
    if "cpu" in request and sum(c.get("cpu", 0) for c in containers) > int(request["cpu"]):
        raise client_error(
            "The sum of all container cpu values cannot be greater than the value of the task cpu."
        )
    if "memory" not in request:
        return
    limit = int(request["memory"])
    for container in containers:
        if container.get("memory", 0) > limit:
            raise client_error(
                f"Invalid setting for container '{container['name']}'. 'memory' must not be "
                f"greater than the task memory ({limit})."
            )
    reserved = sum(c.get("memoryReservation") or c.get("memory", 0) for c in containers)
    if reserved > limit:
        raise client_error(
            "The sum of all container memory reservations cannot be greater than the value of "
            "the task memory."
        )


_CPU = re.compile(r"(\d+(?:\.\d+)?) ?(vcpu)?", re.IGNORECASE)


_MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?(gb|mb)?", re.IGNORECASE)


def cpu_units(text: str) -> str:
    """Return a task's cpu as ECS keeps it: "1 vCPU" → "1024". Raises ClientException."""
    return str(_units(_CPU, text, 1024, "cpu"))


def memory_mib(text: str) -> str:
    """Return a task's memory as ECS keeps it: "2 GB" → "2048". Raises ClientException."""
    return str(_units(_MEMORY, text, _GB, "memory"))


def _units(pattern: re.Pattern[str], text: str, scale: int, name: str) -> int:
    found = pattern.fullmatch(text.strip())
    if found is None:
        raise _bad_unit(name, text)
    unit = (found[2] or "").lower()
    return int(float(found[1]) * (scale if unit in ("vcpu", "gb") else 1))


def _bad_unit(name: str, text: str) -> ApiError:
    return invalid_parameter(f"Invalid '{name}' setting for task: {text!r}")
