"""A task's document and its definition, as a TaskSpec for the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kaiun.engine import taskvars
from kaiun.engine.runtime.base import (
    ContainerSpec,
    Device,
    HealthCheck,
    NetworkMode,
    PortMapping,
    TaskSpec,
    VolumesFrom,
)
from kaiun.engine.store import Doc
from kaiun.engine.supplies import Supplies, env_files
from kaiun.engine.taskvars import Given
from kaiun.engine.volumes import mounts

STOP_TIMEOUT_S = 30
_PERMISSIONS = {"read": "r", "write": "w", "mknod": "m"}


def render(task: Doc, definition: Doc, supplies: Supplies, given: Mapping[str, Given]) -> TaskSpec:
    """Return the task with overrides applied and all that it names elsewhere filled in.

    `given`: what ECS itself tells each container.
    """
    overrides = container_overrides(task)
    mode = NetworkMode(definition.get("networkMode", "bridge"))
    return TaskSpec(
        task_id=task["_"]["id"],
        task_arn=task["taskArn"],
        cluster=task["clusterArn"].rpartition("/")[2],
        family=definition["family"],
        revision=definition["revision"],
        network_mode=mode,
        containers=tuple(
            _told(_container(c, overrides.get(c["name"], {}), definition, supplies), given)
            for c in definition["containerDefinitions"]
        ),
        aliases=tuple(dict.fromkeys([*task["_"]["aliases"], *supplies.names])),
        pid_mode=definition.get("pidMode"),
        ipc_mode=definition.get("ipcMode"),
    )


def _told(container: ContainerSpec, given: Mapping[str, Given]) -> ContainerSpec:
    told = taskvars.complete(container.environment, given.get(container.name))
    return replace(container, environment=told)


def container_overrides(task: Doc) -> dict[str, Doc]:
    """Return what the request of a task overrides, by container."""
    return {o["name"]: o for o in task["overrides"].get("containerOverrides", ())}


def _container(own: Doc, override: Doc, definition: Doc, supplies: Supplies) -> ContainerSpec:
    merged = {**own, **{n: v for n, v in override.items() if n not in ("name", "environment")}}
    linux = own.get("linuxParameters", {})
    capabilities = linux.get("capabilities", {})
    log = own.get("logConfiguration", {})
    return ContainerSpec(
        name=own["name"],
        image=own["image"],
        command=_tuple(merged.get("command")),
        entry_point=_tuple(own.get("entryPoint")),
        environment=environment(own, override, supplies),
        cpu=merged["cpu"],
        memory_mib=merged.get("memory") or _task_memory(definition),
        memory_reservation_mib=merged.get("memoryReservation"),
        swap_mib=linux.get("maxSwap", 0),
        swappiness=linux.get("swappiness") if "maxSwap" in linux else None,
        ports=tuple(_port(m) for m in own["portMappings"] if "containerPort" in m),
        links=tuple(own.get("links", ())),
        mounts=mounts(own, definition),
        volumes_from=tuple(
            VolumesFrom(v["sourceContainer"], v.get("readOnly", False)) for v in own["volumesFrom"]
        ),
        health_check=_health(own.get("healthCheck")),
        stop_timeout_s=stop_timeout_s(own),
        log_driver=log.get("logDriver", "json-file"),
        log_options=_log_options(log, supplies.secrets),
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
        devices=tuple(_device(d) for d in linux.get("devices", ())),
        security_options=tuple(own.get("dockerSecurityOptions", ())),
        dns_servers=tuple(own.get("dnsServers", ())),
        dns_search_domains=tuple(own.get("dnsSearchDomains", ())),
        docker_labels=own.get("dockerLabels", {}),
        extra_hosts=tuple(f"{h['hostname']}:{h['ipAddress']}" for h in own.get("extraHosts", ())),
        sysctls={c["namespace"]: c["value"] for c in own["systemControls"] if len(c) == 2},
        login=supplies.logins.get(own.get("repositoryCredentials", {}).get("credentialsParameter")),
    )


def environment(own: Doc, override: Doc, supplies: Supplies) -> dict[str, str]:
    """Return the variables: overrides win over secrets, those over the definition's own, and those
    over environment files, of which an earlier one wins over a later one."""
    variables: dict[str, str] = {}
    for file in reversed(env_files(own, override)):
        variables |= supplies.files.get(file, {})
    secrets = supplies.secrets
    variables |= {e["name"]: e.get("value", "") for e in own["environment"]}
    variables |= {s["name"]: secrets.get(s["valueFrom"], "") for s in own.get("secrets", ())}
    return variables | {e["name"]: e.get("value", "") for e in override.get("environment", ())}


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


def _device(device: Doc) -> Device:
    inside = device.get("containerPath") or device["hostPath"]
    allowed = device.get("permissions") or _PERMISSIONS
    return Device(device["hostPath"], inside, "".join(_PERMISSIONS[p] for p in allowed))


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


def _log_options(log: Doc, secrets: Mapping[str, str]) -> dict[str, str]:
    options = dict(log.get("options", {}))
    return options | {
        s["name"]: secrets.get(s["valueFrom"], "") for s in log.get("secretOptions", ())
    }
