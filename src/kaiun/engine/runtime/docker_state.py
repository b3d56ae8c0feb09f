"""Read what the Docker Engine says of a container (pure; GET /containers/ID/json)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from kaiun.engine.runtime.base import ContainerStatus, Observation, PortBinding, Usage

Json = dict[str, Any]

OOM_REASON: Final = "OutOfMemoryError: Container killed due to memory usage"
_HEALTH: Final = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}
_EXITED: Final = frozenset({"exited", "dead", "removing"})


def observation(inspected: Json, address: str | None = None) -> Observation:
    """Return the facts of an inspected container; `address` where it has none of its own."""
    state: Json = inspected["State"]
    marks: dict[str, str] = inspected["Config"]["Labels"]
    status = _status(state)
    over = status is ContainerStatus.EXITED
    return Observation(
        task_id=marks["kaiun.task"],
        name=marks["kaiun.container"],
        runtime_id=inspected["Id"],
        status=status,
        exit_code=state["ExitCode"] if over else None,
        reason=_reason(state) if over else None,
        health=_HEALTH.get((state.get("Health") or {}).get("Status", ""), "UNKNOWN"),
        ports=_ports(inspected),
        address=_address(inspected, marks) or address,
        image_digest=_digest(inspected["Config"]["Image"]) or marks.get("kaiun.image-digest"),
        started_at=seconds(state.get("StartedAt")),
        finished_at=seconds(state.get("FinishedAt")) if over else None,
    )


def usage(stats: Json) -> Usage | None:
    """Return the counters of GET /containers/ID/stats; None of a container that does not run.

    Memory is without the file cache that can be dropped, as `docker stats` has it.
    """
    memory: Json = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    kinds: Json = memory.get("stats") or {}
    cache = kinds.get("total_inactive_file", kinds.get("inactive_file", 0))  # cgroup v1, v2
    cpu_s = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    return Usage(cpu_s, max(0, memory["usage"] - cache))


def seconds(moment: str | None) -> float | None:
    """Return seconds since the epoch: "2026-01-02T03:04:05.678901234Z"; Go's zero time is None."""
    if not moment or moment.startswith("0001-"):
        return None
    whole, _, fraction = moment.rstrip("Z").partition(".")
    base = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return base + (float(f"0.{fraction}") if fraction else 0.0)


def _status(state: Json) -> ContainerStatus:
    if state["Status"] in _EXITED:
        return ContainerStatus.EXITED
    return ContainerStatus.CREATED if state["Status"] == "created" else ContainerStatus.RUNNING


def _reason(state: Json) -> str | None:
    return OOM_REASON if state.get("OOMKilled") else (state.get("Error") or None)


def _ports(inspected: Json) -> tuple[PortBinding, ...]:
    published: dict[str, list[dict[str, str]] | None] = inspected["NetworkSettings"]["Ports"] or {}
    found = []
    for key, bindings in published.items():
        port, _, protocol = key.partition("/")
        found += [
            PortBinding(int(port), int(b["HostPort"]), b["HostIp"], protocol)
            for b in bindings or ()
        ]
    return tuple(sorted(found, key=lambda p: (p.container_port, p.protocol, p.host_port)))


def _address(inspected: Json, marks: dict[str, str]) -> str | None:
    if marks.get("kaiun.network-mode") == "host":
        return "127.0.0.1"
    networks: dict[str, Json] = inspected["NetworkSettings"]["Networks"] or {}
    return next((n["IPAddress"] for n in networks.values() if n.get("IPAddress")), None)


def _digest(image: str) -> str | None:
    return image.partition("@")[2] or None
