"""Say a task in the words of the Docker Engine API (pure; API 1.41, POST /containers/create)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaiun.engine.runtime import docker_addresses, docker_volumes
from kaiun.engine.runtime.base import PAUSE, ContainerSpec, NetworkMode, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

OWN_VOLUMES: Final = "kaiun.volumes"  # label: there are volumes that go with the task
LOOPBACK: Final = "127.0.0.1"
READABLE: Final = frozenset({"json-file", "local"})  # drivers whose logs are followed
_MIB: Final = 1024 * 1024
_SECOND: Final = 1_000_000_000
_FLUENTD_OPTIONS: Final = {
    "fluentd-async": "true",  # a container never waits for its log
    "fluentd-request-ack": "true",  # a record sent to an engine that is gone is sent again
    "fluentd-sub-second-precision": "true",
}
_JSON_FILE_OPTIONS: Final = {"max-size": "64m", "max-file": "2"}


def container_name(task: TaskSpec, name: str) -> str:
    """Return the one name that this container can have: it is how a second one is prevented."""
    short = "internalecspause" if name == PAUSE else name
    return f"ecs-{task.family}-{task.revision}-{short}-{task.task_id[:12]}"


def labels(engine_id: str, task: TaskSpec, name: str) -> dict[str, str]:
    return {
        "kaiun.engine": engine_id,
        "kaiun.task": task.task_id,
        "kaiun.task-arn": task.task_arn,
        "kaiun.cluster": task.cluster,
        "kaiun.container": name,
        "kaiun.network-mode": str(task.network_mode),
        "com.amazonaws.ecs.cluster": task.cluster,
        "com.amazonaws.ecs.container-name": name,
        "com.amazonaws.ecs.task-arn": task.task_arn,
        "com.amazonaws.ecs.task-definition-family": task.family,
        "com.amazonaws.ecs.task-definition-version": str(task.revision),
    }


def container(
    engine_id: str,
    task: TaskSpec,
    spec: ContainerSpec,
    digest: str | None,
    link_local: str | None = None,
) -> Json:
    """Return the request that creates `spec`.

    `digest` of its image is kept in a label, as is the address that it reaches the door from.
    """
    own = labels(engine_id, task, spec.name)
    if digest:
        own["kaiun.image-digest"] = digest
    if any(mount.of_task for mount in spec.mounts):
        own[OWN_VOLUMES] = "task"
    config: Json = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in spec.environment.items()],
        "Labels": {**spec.docker_labels, **own},
        "Tty": spec.tty,
        "OpenStdin": spec.interactive,
        "StopTimeout": spec.stop_timeout_s,
        "Healthcheck": _health(spec),
        "HostConfig": _host_config(engine_id, task, spec),
    }
    optional = {
        "Cmd": None if spec.command is None else list(spec.command),
        "Entrypoint": None if spec.entry_point is None else list(spec.entry_point),
        "User": spec.user,
        "WorkingDir": spec.working_directory,
    }
    config.update({key: value for key, value in optional.items() if value is not None})
    return _with_network(config, engine_id, task, spec, link_local)


def pause(engine_id: str, task: TaskSpec, image: str, link_local: str | None = None) -> Json:
    """Return the request that creates the holder of the namespaces that a task shares."""
    host: Json = {"LogConfig": {"Type": "none"}, "IpcMode": "shareable"}
    config: Json = {
        "Image": image,
        "Labels": labels(engine_id, task, PAUSE),
        "StopSignal": "SIGKILL",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if task.pid_mode == "task":
        host["Init"] = True  # somebody must reap what the containers leave
    if task.network_mode is not NetworkMode.AWSVPC:
        host["NetworkMode"] = "none"
        return config
    network = docker_volumes.network_name(engine_id)
    host["NetworkMode"] = network
    sysctls = [(k, v) for c in task.containers for k, v in c.sysctls.items()]
    host["Sysctls"] = {key: value for key, value in sysctls if _of_network(key)}
    host |= _names(*task.containers)
    _join(config, network, {"Aliases": list(task.aliases)}, link_local)
    hostname = next((c.hostname for c in task.containers if c.hostname), None)
    return config | ({"Hostname": hostname} if hostname else {})


def _names(*containers: ContainerSpec) -> Json:
    """Return how names are resolved in a network namespace: the settings of those that share it."""
    return {
        "ExtraHosts": sorted({host for c in containers for host in c.extra_hosts}),
        "Dns": list(dict.fromkeys(server for c in containers for server in c.dns_servers)),
        "DnsSearch": list(dict.fromkeys(d for c in containers for d in c.dns_search_domains)),
    }


def _health(spec: ContainerSpec) -> Json:
    check = spec.health_check
    if check is None:
        return {"Test": ["NONE"]}
    return {
        "Test": list(check.command),
        "Interval": check.interval_s * _SECOND,
        "Timeout": check.timeout_s * _SECOND,
        "Retries": check.retries,
        "StartPeriod": check.start_period_s * _SECOND,
    }


def _host_config(engine_id: str, task: TaskSpec, spec: ContainerSpec) -> Json:
    shared = task.network_mode is NetworkMode.AWSVPC
    sysctls = {k: v for k, v in spec.sysctls.items() if not (shared and _of_network(k))}
    config: Json = {
        "LogConfig": log_config(spec.log_driver, spec.log_options),
        "SecurityOpt": list(spec.security_options),
        "Devices": [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path,
                "CgroupPermissions": device.permissions,
            }
            for device in spec.devices
        ],
        "VolumesFrom": [
            f"{container_name(task, other.container)}{':ro' if other.read_only else ''}"
            for other in spec.volumes_from
        ],
        "ReadonlyRootfs": spec.read_only,
        "Privileged": spec.privileged,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "Tmpfs": dict(spec.tmpfs),
        "Sysctls": sysctls,
        "Ulimits": [{"Name": n, "Soft": soft, "Hard": hard} for n, soft, hard in spec.ulimits],
    }
    if spec.init:
        config["Init"] = True
    if spec.cpu:
        config["CpuShares"] = max(2, spec.cpu)
    if spec.shm_size_mib:
        config["ShmSize"] = spec.shm_size_mib * _MIB
    config |= docker_volumes.mounts(engine_id, task, spec)
    return config | _memory(spec) | _shared_modes(task)


def _shared_modes(task: TaskSpec) -> Json:
    """pidMode and ipcMode of a task; `task`: what its pause container has."""
    holder = f"container:{container_name(task, PAUSE)}"
    modes = {"PidMode": task.pid_mode, "IpcMode": task.ipc_mode}
    return {key: holder if mode == "task" else mode for key, mode in modes.items() if mode}


def needs_pause(task: TaskSpec) -> bool:
    """Tell whether the containers of a task share a namespace, which somebody has to hold."""
    return task.network_mode is NetworkMode.AWSVPC or "task" in (task.pid_mode, task.ipc_mode)


def _memory(spec: ContainerSpec) -> Json:
    """A hard limit includes swap: an ECS instance has none unless the definition gives it some."""
    config: Json = {}
    if spec.memory_mib:
        config["Memory"] = spec.memory_mib * _MIB
        config["MemorySwap"] = (spec.memory_mib + spec.swap_mib) * _MIB
    if spec.swappiness is not None:
        config["MemorySwappiness"] = spec.swappiness
    if spec.memory_reservation_mib:
        config["MemoryReservation"] = spec.memory_reservation_mib * _MIB
    return config


def _with_network(
    config: Json, engine_id: str, task: TaskSpec, spec: ContainerSpec, link_local: str | None
) -> Json:
    host: Json = config["HostConfig"]
    match task.network_mode:
        case NetworkMode.AWSVPC:
            host["NetworkMode"] = f"container:{container_name(task, PAUSE)}"
            return config
        case NetworkMode.HOST | NetworkMode.NONE as mode:
            host["NetworkMode"] = str(mode)
            host |= _names(spec)
            return config
    network = docker_volumes.network_name(engine_id)
    host["NetworkMode"] = network
    host |= _names(spec)
    if spec.hostname:
        config["Hostname"] = spec.hostname
    config["ExposedPorts"] = {f"{p.container_port}/{p.protocol}": {} for p in spec.ports}
    host["PortBindings"] = {
        f"{port.container_port}/{port.protocol}": [
            {"HostIp": LOOPBACK, "HostPort": str(other.host_port or "")}
            for other in spec.ports
            if (other.container_port, other.protocol) == (port.container_port, port.protocol)
        ]
        for port in spec.ports
    }
    endpoint: Json = {"Aliases": list(task.aliases), "Links": [_link(task, x) for x in spec.links]}
    _join(config, network, endpoint, link_local)
    return config


def _join(config: Json, network: str, endpoint: Json, link_local: str | None) -> None:
    """Have a container on a network, where it reaches the door from a link-local address."""
    if link_local is not None:
        endpoint["IPAMConfig"] = {"LinkLocalIPs": [link_local]}
        config["Labels"][docker_addresses.LABEL] = link_local
    config["NetworkingConfig"] = {"EndpointsConfig": {network: endpoint}}


def _link(task: TaskSpec, link: str) -> str:
    target, _, alias = link.partition(":")
    return f"{container_name(task, target)}:{alias or target}"


def _of_network(sysctl: str) -> bool:
    return sysctl.startswith("net.")


def log_config(driver: str, options: Mapping[str, str]) -> Json:
    """Return Docker's LogConfig for an ECS logConfiguration.

    fluentd goes out as asked, without ever blocking the container. The other drivers that have
    no far end on a developer's machine (awslogs, splunk, syslog, …) write JSON files, which the
    runtime follows.
    """
    if driver == "none":
        return {"Type": "none", "Config": {}}
    if driver == "fluentd":
        kept = {k: v for k, v in options.items() if k != "fluentd-async-connect"}
        return {"Type": "fluentd", "Config": {**kept, **_FLUENTD_OPTIONS}}
    kept = dict(options) if driver == "json-file" else {}
    return {"Type": "json-file", "Config": {**_JSON_FILE_OPTIONS, **kept}}
