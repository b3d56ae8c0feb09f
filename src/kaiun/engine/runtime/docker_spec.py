"""Say a task in the words of the Docker Engine API (pure; API 1.41, POST /containers/create)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaiun.engine.runtime.base import ContainerSpec, Mount, NetworkMode, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

PAUSE: Final = "~internal~ecs~pause"  # as the ECS agent calls it
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


def network_name(engine_id: str) -> str:
    return f"kaiun-{engine_id[:8]}"


def volume_name(engine_id: str, name: str) -> str:
    """Return the Docker volume of a named volume: each engine has its own, or two engines would
    let two servers write to one data directory."""
    return f"{network_name(engine_id)}-{name}"


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
    }


def container(engine_id: str, task: TaskSpec, spec: ContainerSpec, digest: str | None) -> Json:
    """Return the request that creates `spec`; `digest` of its image is kept in a label."""
    own = labels(engine_id, task, spec.name)
    if digest:
        own["kaiun.image-digest"] = digest
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
    return _with_network(config, engine_id, task, spec)


def pause(engine_id: str, task: TaskSpec, image: str) -> Json:
    """Return the request that creates the holder of an awsvpc task's network namespace."""
    sysctls = {k: v for c in task.containers for k, v in c.sysctls.items() if _of_network(k)}
    hosts = sorted({host for c in task.containers for host in c.extra_hosts})
    network = network_name(engine_id)
    config: Json = {
        "Image": image,
        "Labels": labels(engine_id, task, PAUSE),
        "StopSignal": "SIGKILL",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network,
            "LogConfig": {"Type": "none"},
            "Sysctls": sysctls,
            "ExtraHosts": hosts,
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": list(task.aliases)}}},
    }
    hostname = next((c.hostname for c in task.containers if c.hostname), None)
    return config | ({"Hostname": hostname} if hostname else {})


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
        "Binds": [_bind(engine_id, mount) for mount in spec.mounts],
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
    return config | _memory(spec)


def _bind(engine_id: str, mount: Mount) -> str:
    named = not mount.source.startswith("/")
    source = volume_name(engine_id, mount.source) if named else mount.source
    return f"{source}:{mount.target}{':ro' if mount.read_only else ''}"


def _memory(spec: ContainerSpec) -> Json:
    """A hard limit includes swap: an ECS instance has none, so more memory is more memory."""
    config: Json = {}
    if spec.memory_mib:
        config["Memory"] = config["MemorySwap"] = spec.memory_mib * _MIB
    if spec.memory_reservation_mib:
        config["MemoryReservation"] = spec.memory_reservation_mib * _MIB
    return config


def _with_network(config: Json, engine_id: str, task: TaskSpec, spec: ContainerSpec) -> Json:
    host: Json = config["HostConfig"]
    match task.network_mode:
        case NetworkMode.AWSVPC:
            host["NetworkMode"] = f"container:{container_name(task, PAUSE)}"
            return config
        case NetworkMode.HOST | NetworkMode.NONE as mode:
            host["NetworkMode"] = str(mode)
            host["ExtraHosts"] = list(spec.extra_hosts)
            return config
    network = network_name(engine_id)
    host["NetworkMode"] = network
    host["ExtraHosts"] = list(spec.extra_hosts)
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
    config["NetworkingConfig"] = {"EndpointsConfig": {network: endpoint}}
    return config


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
