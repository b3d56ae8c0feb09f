"""A task's document and its definition, as a TaskSpec for the runtime."""

from __future__ import annotations

from collections.abc import Mapping

from kaiun.engine.runtime.base import (
    ContainerSpec,
    HealthCheck,
    Mount,
    NetworkMode,
    PortMapping,
    TaskSpec,
)
from kaiun.engine.store import Doc

STOP_TIMEOUT_S = 30
Secrets = Mapping[str, str]  # valueFrom → value


def render(task: Doc, definition: Doc, secrets: Secrets) -> TaskSpec:
    """Return the task with overrides applied and secrets resolved."""
    overrides = {o["name"]: o for o in task["overrides"].get("containerOverrides", ())}
    volumes = {v["name"]: v for v in definition["volumes"]}
    mode = NetworkMode(definition.get("networkMode", "bridge"))
    return TaskSpec(
        task_id=task["_"]["id"],
        task_arn=task["taskArn"],
        cluster=task["clusterArn"].rpartition("/")[2],
        family=definition["family"],
        revision=definition["revision"],
        network_mode=mode,
        containers=tuple(
            _container(c, overrides.get(c["name"], {}), definition, volumes, secrets)
            for c in definition["containerDefinitions"]
        ),
        aliases=tuple(task["_"]["aliases"]),
    )


def _container(
    own: Doc, override: Doc, definition: Doc, volumes: Mapping[str, Doc], secrets: Secrets
) -> ContainerSpec:
    merged = {**own, **{n: v for n, v in override.items() if n not in ("name", "environment")}}
    linux = own.get("linuxParameters", {})
    capabilities = linux.get("capabilities", {})
    log = own.get("logConfiguration", {})
    return ContainerSpec(
        name=own["name"],
        image=own["image"],
        command=_tuple(merged.get("command")),
        entry_point=_tuple(own.get("entryPoint")),
        environment=environment(own, override, secrets),
        cpu=merged["cpu"],
        memory_mib=merged.get("memory") or _task_memory(definition),
        memory_reservation_mib=merged.get("memoryReservation"),
        ports=tuple(_port(m) for m in own["portMappings"] if "containerPort" in m),
        links=tuple(own.get("links", ())),
        mounts=tuple(_mounts(own, definition, volumes)),
        health_check=_health(own.get("healthCheck")),
        stop_timeout_s=stop_timeout_s(own),
        log_driver=log.get("logDriver", "json-file"),
        log_options=_log_options(log, secrets),
        user=own.get("user"),
        working_directory=own.get("workingDirectory"),
        hostname=own.get("hostname"),
        read_only=own.get("readonlyRootFilesystem", False),
        privileged=own.get("privileged", False),
        tty=own.get("pseudoTerminal", False),
        interactive=own.get("interactive", False),
        init=linux.get("initProcessEnabled", False),
        ulimits=tuple((u["name"], u["softLimit"], u["hardLimit"]) for u in own.get("ulimits", ())),
        cap_add=tuple(capabilities.get("add", ())),
        cap_drop=tuple(capabilities.get("drop", ())),
        tmpfs={t["containerPath"]: _tmpfs(t) for t in linux.get("tmpfs", ())},
        shm_size_mib=linux.get("sharedMemorySize"),
        docker_labels=own.get("dockerLabels", {}),
        extra_hosts=tuple(f"{h['hostname']}:{h['ipAddress']}" for h in own.get("extraHosts", ())),
        sysctls={c["namespace"]: c["value"] for c in own["systemControls"] if len(c) == 2},
    )


def environment(own: Doc, override: Doc, secrets: Secrets) -> dict[str, str]:
    """Return the variables; overrides win over secrets, and those over the definition's."""
    variables = {e["name"]: e.get("value", "") for e in own["environment"]}
    variables |= {s["name"]: secrets.get(s["valueFrom"], "") for s in own.get("secrets", ())}
    return variables | {e["name"]: e.get("value", "") for e in override.get("environment", ())}


def secret_names(definition: Doc) -> set[str]:
    """Return every valueFrom of a task definition."""
    names = set()
    for container in definition["containerDefinitions"]:
        names |= {s["valueFrom"] for s in container.get("secrets", ())}
        options = container.get("logConfiguration", {}).get("secretOptions", ())
        names |= {s["valueFrom"] for s in options}
    return names


def stop_timeout_s(container: Doc) -> int:
    timeout: int = container.get("stopTimeout", STOP_TIMEOUT_S)
    return timeout


def _tuple(words: list[str] | None) -> tuple[str, ...] | None:
    return tuple(words) if words else None


def _task_memory(definition: Doc) -> int | None:
    """Return the hard limit that a container without one has: that of its task."""
    return int(definition["memory"]) if "memory" in definition else None


def _port(mapping: Doc) -> PortMapping:
    return PortMapping(mapping["containerPort"], mapping.get("hostPort", 0), mapping["protocol"])


def _mounts(own: Doc, definition: Doc, volumes: Mapping[str, Doc]) -> list[Mount]:
    mounts = [_mount(m, volumes) for m in own["mountPoints"]]
    by_name = {c["name"]: c for c in definition["containerDefinitions"]}
    for source in own["volumesFrom"]:
        for point in by_name[source["sourceContainer"]]["mountPoints"]:
            merged = {**point, "readOnly": source.get("readOnly", point.get("readOnly", False))}
            mounts.append(_mount(merged, volumes))
    return mounts


def _mount(point: Doc, volumes: Mapping[str, Doc]) -> Mount:
    volume = volumes[point["sourceVolume"]]
    path = volume.get("host", {}).get("sourcePath")
    return Mount(path or volume["name"], point["containerPath"], point.get("readOnly", False))


def _health(check: Doc | None) -> HealthCheck | None:
    if check is None or check["command"][0] == "NONE":
        return None
    return HealthCheck(
        command=tuple(check["command"]),
        interval_s=check["interval"],
        timeout_s=check["timeout"],
        retries=check["retries"],
        start_period_s=check.get("startPeriod", 0),
    )


def _tmpfs(tmpfs: Doc) -> str:
    return ",".join([*tmpfs.get("mountOptions", ()), f"size={tmpfs['size']}m"])


def _log_options(log: Doc, secrets: Secrets) -> dict[str, str]:
    options = dict(log.get("options", {}))
    return options | {
        s["name"]: secrets.get(s["valueFrom"], "") for s in log.get("secretOptions", ())
    }
