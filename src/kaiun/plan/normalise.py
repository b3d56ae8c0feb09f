"""Task definitions in one comparable form, without the noise of what ECS fills in.

What ECS adds or changes between RegisterTaskDefinition and DescribeTaskDefinition:
members of its own (ARN, revision, status, requiresAttributes, compatibilities, registeredAt, …),
empty lists, `cpu: 0`, `essential: true`, `protocol: tcp`, `hostPort` (0, or the container port
where the task has its own address), the health check's interval, timeout and retries, sizes
as numbers ("1 GB" → "1024"), role names as ARNs, `host: {}` of a volume.
Source: ECS API reference, RegisterTaskDefinition and ContainerDefinition.

Lists whose items have a name become mappings, so order does not count and differences read
as `containers.web.environment.RAILS_ENV`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from kaiun.plan.merge import Json

FILLED_IN = frozenset(
    {
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
        "tags",
    }
)
TASK_DEFAULTS: Json = {"networkMode": "bridge", "enableFaultInjection": False}
CONTAINER_DEFAULTS: Json = {
    "cpu": 0,
    "essential": True,
    "disableNetworking": False,
    "privileged": False,
    "readonlyRootFilesystem": False,
    "interactive": False,
    "pseudoTerminal": False,
    "versionConsistency": "enabled",
}
HEALTH_DEFAULTS: Json = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
LINUX_DEFAULTS: Json = {"initProcessEnabled": False}
RESTART_DEFAULTS: Json = {"restartAttemptPeriod": 300}
EFS_DEFAULTS: Json = {"rootDirectory": "/", "transitEncryption": "DISABLED"}
DOCKER_VOLUME_DEFAULTS: Json = {"scope": "task", "driver": "local", "autoprovision": False}
DEFAULT = "(default)"
OWN_ADDRESS = frozenset({"awsvpc", "host"})


def task_definition(given: Mapping[str, object]) -> Json:
    """Return a RegisterTaskDefinition request, or what ECS answers, in the comparable form."""
    known = {key: value for key, value in given.items() if key not in FILLED_IN}
    mode = str(known.get("networkMode") or "bridge")
    containers = cast("list[Json]", known.pop("containerDefinitions", []))
    volumes = cast("list[Json]", known.pop("volumes", None) or [])
    known["containers"] = {str(item["name"]): _container(item, mode) for item in containers}
    known["volumes"] = {str(item.get("name")): _volume(item) for item in volumes}
    known["requiresCompatibilities"] = _sorted(known.get("requiresCompatibilities"))
    for key, change in (
        ("cpu", _cpu),
        ("memory", _memory),
        ("taskRoleArn", _role),
        ("executionRoleArn", _role),
    ):
        if known.get(key):
            known[key] = change(str(known[key]))
    return pruned(without(known, TASK_DEFAULTS))


def _container(given: Mapping[str, object], mode: str) -> Json:
    known: Json = dict(given)
    known.pop("name")
    _change(known, "environment", lambda items: _pairs(items, "value"))
    _change(known, "secrets", lambda items: _pairs(items, "valueFrom"))
    _change(known, "portMappings", lambda items: dict(_port(item, mode) for item in items))
    _change(known, "ulimits", lambda items: _named(items, "name"))
    _change(known, "mountPoints", lambda items: _named(items, "containerPath", readOnly=False))
    _change(known, "volumesFrom", lambda items: _named(items, "sourceContainer", readOnly=False))
    _change(known, "systemControls", lambda items: _pairs(items, "value", key="namespace"))
    _change(known, "dependsOn", lambda items: _pairs(items, "condition", key="containerName"))
    _change(known, "resourceRequirements", lambda items: _pairs(items, "value", key="type"))
    for key, defaults in (
        ("healthCheck", HEALTH_DEFAULTS),
        ("linuxParameters", LINUX_DEFAULTS),
        ("restartPolicy", RESTART_DEFAULTS),
    ):
        if part := cast("Json | None", known.get(key)):
            known[key] = without(part, defaults)
    if logs := cast("Json | None", known.get("logConfiguration")):
        known["logConfiguration"] = _logs(logs)
    return pruned(without(known, CONTAINER_DEFAULTS))


def _change(known: Json, key: str, change: Callable[[list[Json]], Json]) -> None:
    if items := cast("list[Json] | None", known.get(key)):
        known[key] = change(items)


def _pairs(items: list[Json], value: str, *, key: str = "name") -> Json:
    return {str(item[key]): item.get(value) for item in items}


def _named(items: list[Json], key: str, **defaults: object) -> Json:
    return {str(item.get(key)): _rest(item, key, defaults) or DEFAULT for item in items}


def _rest(item: Mapping[str, object], key: str, defaults: Mapping[str, object]) -> Json:
    return {name: value for name, value in without(item, defaults).items() if name != key}


def _port(item: Mapping[str, object], mode: str) -> tuple[str, Json]:
    port = item.get("containerPort", item.get("containerPortRange"))
    protocol = item.get("protocol") or "tcp"
    default = port if mode in OWN_ADDRESS else 0
    rest = {k: v for k, v in item.items() if k not in {"containerPort", "protocol"}}
    return f"{port}/{protocol}", {"hostPort": default} | rest


def _logs(given: Mapping[str, object]) -> Json:
    known = dict(given)
    if secrets := cast("list[Json] | None", known.get("secretOptions")):
        known["secretOptions"] = _pairs(secrets, "valueFrom")
    return known


def _volume(given: Mapping[str, object]) -> Json | str:
    known = dict(given)
    known.pop("name", None)
    if efs := cast("Json | None", known.get("efsVolumeConfiguration")):
        known["efsVolumeConfiguration"] = without(efs, EFS_DEFAULTS)
    if docker := cast("Json | None", known.get("dockerVolumeConfiguration")):
        known["dockerVolumeConfiguration"] = without(docker, DOCKER_VOLUME_DEFAULTS)
    return pruned(without(known, {"configuredAtLaunch": False})) or DEFAULT


def _cpu(text: str) -> str:
    """Return CPU units: "1 vCPU" → "1024"."""
    number, unit = _amount(text)
    return str(int(number * 1024)) if unit == "vcpu" else text.strip()


def _memory(text: str) -> str:
    """Return MiB: "0.5 GB" → "512"."""
    number, unit = _amount(text)
    return str(int(number * 1024)) if unit == "gb" else text.strip()


def _amount(text: str) -> tuple[float, str]:
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    try:
        return float(digits), text.strip()[len(digits) :].strip().lower()
    except ValueError:
        return 0.0, ""


def _role(text: str) -> str:
    """Return the role's name with its path; roles of another account cannot be used."""
    return text.partition(":role/")[2] or text


def _sorted(value: object) -> list[str]:
    return sorted(str(item) for item in cast("list[object]", value or []))


def without(given: Mapping[str, object], defaults: Mapping[str, object]) -> Json:
    missing = object()
    return {k: v for k, v in given.items() if defaults.get(k, missing) != v}


def pruned(value: Mapping[str, object]) -> Json:
    """Return `value` without None and without empty lists and mappings, however deep."""
    items = ((key, _prune(item)) for key, item in value.items())
    return {key: item for key, item in items if item is not None and item not in ([], {})}


def _prune(value: object) -> object:
    if isinstance(value, Mapping):
        return pruned(value)
    if isinstance(value, list | tuple):
        return [_prune(item) for item in value]
    return value
