"""What ECS refuses in a task definition, in its words.

Source: ECS API reference, RegisterTaskDefinition and ContainerDefinition; developer guide, "Amazon
ECS task definition parameters" (Fargate's pairs of CPU and memory).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
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
_EXIT_CONDITIONS = ("COMPLETE", "SUCCESS")


def check(request: Doc) -> None:
    """Raise ClientException or InvalidParameterException for what ECS does not accept."""
    if not _NAME.fullmatch(request["family"]):
        raise client_error(
            "Family contains invalid characters. Only letters, numbers, hyphens and underscores "
            "are allowed, up to 255."
        )
    containers = request["containerDefinitions"]
    if not containers:
        raise client_error("Container list cannot be empty.")
    for container in containers:
        _check_container(container, request)
    _check_names(containers)
    _check_dependencies(containers)
    _check_links(containers, request)
    _check_volumes(containers, request)
    _check_ports(containers, request)
    if "FARGATE" in request.get("requiresCompatibilities", ()):
        _check_fargate(request)


def _check_container(container: Doc, request: Doc) -> None:
    name = container.get("name")
    if not name:
        raise client_error("Container.name should not be null or empty.")
    if not _NAME.fullmatch(name):
        raise client_error(
            f"Invalid container name ({name}). Up to 255 letters, numbers, hyphens and underscores."
        )
    if not container.get("image"):
        raise client_error("Container.image should not be null or empty.")
    _check_memory(container, request)
    if container.get("stopTimeout", 0) > 120 and "FARGATE" in request.get(
        "requiresCompatibilities", ()
    ):
        raise client_error("stopTimeout must be between 0 and 120 seconds on Fargate.")
    _check_health(container)
    for mapping in container.get("portMappings", ()):
        _check_mapping(mapping, request)
    check_environment(container)
    _check_repeated(
        (e["name"] for e in container.get("secrets", ())),
        "The secret name must be unique and not shared with any new or existing environment "
        "variables set on the container, such as '{}'.",
        (e.get("name") for e in container.get("environment", ())),
    )


def check_environment(container: Doc) -> None:
    """Raise ClientException for a variable without a name, in a definition or an override."""
    if any(not variable.get("name") for variable in container.get("environment", ())):
        raise client_error("An environment variable must have a name.")


def _check_memory(container: Doc, request: Doc) -> None:
    name, hard, soft = (
        container["name"],
        container.get("memory"),
        container.get("memoryReservation"),
    )
    if hard is None and soft is None and not request.get("memory"):
        raise client_error(
            f"Invalid setting for container '{name}'. At least one of 'memory' or "
            "'memoryReservation' must be specified."
        )
    if hard is not None and hard < 6:
        raise client_error(
            f"Invalid setting for container '{name}'. 'memory' must be at least 6 MiB."
        )
    if hard is not None and soft is not None and soft > hard:
        raise client_error(
            f"Invalid setting for container '{name}'. 'memoryReservation' must not be greater "
            "than 'memory'."
        )


_HEALTH_RANGES = {
    "interval": (5, 300),
    "timeout": (2, 120),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}


def _check_health(container: Doc) -> None:
    health = container.get("healthCheck")
    if health is None:
        return
    if not health["command"] or health["command"][0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise client_error(
            f"Invalid health check of container '{container['name']}': the command must start "
            "with CMD or CMD-SHELL."
        )
    for name, (low, high) in _HEALTH_RANGES.items():
        if name in health and not low <= health[name] <= high:
            raise client_error(
                f"Invalid health check of container '{container['name']}': {name} must be "
                f"between {low} and {high}."
            )


def _check_mapping(mapping: Doc, request: Doc) -> None:
    port, host = mapping.get("containerPort"), mapping.get("hostPort", 0)
    if port is None and not mapping.get("containerPortRange"):
        raise client_error("containerPort or containerPortRange must be specified.")
    if port is not None and not 1 <= port <= 65535:
        raise client_error(f"Invalid port mapping: containerPort {port} is not in 1-65535.")
    if not 0 <= host <= 65535:
        raise client_error(f"Invalid port mapping: hostPort {host} is not in 0-65535.")
    if request.get("networkMode") in ("awsvpc", "host") and host not in (0, port):
        raise client_error(
            "When networkMode=awsvpc, the host ports and container ports in port mappings "
            "must match."
        )


def _check_names(containers: list[Doc]) -> None:
    name, count = Counter(c["name"] for c in containers).most_common(1)[0]
    if count > 1:
        raise client_error(f"Container names must be unique: '{name}' is used {count} times.")
    if not any(c.get("essential", True) for c in containers):
        raise client_error("At least one essential container must be specified.")


def _check_repeated(
    names: Iterable[str | None], message: str, others: Iterable[str | None] = ()
) -> None:
    seen = set(others)
    for name in names:
        if name in seen:
            raise client_error(message.format(name))
        seen.add(name)


def _check_dependencies(containers: list[Doc]) -> None:
    by_name = {c["name"]: c for c in containers}
    for container in containers:
        for dependency in container.get("dependsOn", ()):
            _check_dependency(container, dependency, by_name)
    if cycle := find_cycle({c["name"]: _needs(c) for c in containers}):
        raise client_error(
            "Invalid 'dependsOn' settings: there is a dependency cycle: " + " -> ".join(cycle)
        )


def _needs(container: Doc) -> list[str]:
    return [
        *(d["containerName"] for d in container.get("dependsOn", ())),
        *(link.partition(":")[0] for link in container.get("links", ())),
        *(v["sourceContainer"] for v in container.get("volumesFrom", ()) if "sourceContainer" in v),
    ]


def _check_dependency(container: Doc, dependency: Doc, by_name: dict[str, Doc]) -> None:
    other = by_name.get(dependency["containerName"])
    place = f"Invalid 'dependsOn' setting for container '{container['name']}'"
    if other is None:
        raise client_error(f"{place}: container '{dependency['containerName']}' does not exist.")
    condition = dependency["condition"]
    if condition == "HEALTHY" and "healthCheck" not in other:
        raise client_error(f"{place}: container '{other['name']}' has no health check.")
    if condition in _EXIT_CONDITIONS and other.get("essential", True):
        raise client_error(
            f"{place}: essential container '{other['name']}' cannot have condition {condition}."
        )


def find_cycle(graph: dict[str, list[str]]) -> list[str]:
    """Return the names along a cycle, first one again at the end; [] when there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in graph.get(name, ()):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def _check_links(containers: list[Doc], request: Doc) -> None:
    names = {c["name"] for c in containers}
    for container in containers:
        for link in container.get("links", ()):
            if request.get("networkMode") in ("awsvpc", "host", "none"):
                raise client_error("Links are not supported when networkMode is not bridge.")
            if link.partition(":")[0] not in names:
                raise client_error(f"Invalid link '{link}': no such container in this task.")
        for source in container.get("volumesFrom", ()):
            if source.get("sourceContainer") not in names:
                raise client_error(
                    f"Invalid 'volumesFrom' setting for container '{container['name']}': "
                    f"container '{source.get('sourceContainer')}' does not exist."
                )


def _check_volumes(containers: list[Doc], request: Doc) -> None:
    names = [v.get("name") for v in request.get("volumes", ())]
    if not all(names) or len(set(names)) != len(names):
        raise client_error("Volumes must have names, and those must be unique.")
    for container in containers:
        for mount in container.get("mountPoints", ()):
            if mount.get("sourceVolume") not in names:
                raise client_error(f"Unknown volume '{mount.get('sourceVolume')}'.")
            if not mount.get("containerPath"):
                raise client_error("A mount point must have a containerPath.")


def _check_ports(containers: list[Doc], request: Doc) -> None:
    shared = request.get("networkMode") in ("awsvpc", "host")
    used: set[tuple[int, str]] = set()
    names: set[str] = set()
    for mapping in (m for c in containers for m in c.get("portMappings", ())):
        port = mapping.get("containerPort") if shared else mapping.get("hostPort")
        key = (port or 0, mapping.get("protocol", "tcp"))
        if port and key in used:
            raise client_error(
                f"Invalid port mapping: port {port}/{key[1]} is mapped more than once in this task."
            )
        used.add(key)
        if (name := mapping.get("name")) and name in names:
            raise client_error(f"Port mapping names must be unique: '{name}'.")
        names.add(mapping.get("name", ""))


def _check_fargate(request: Doc) -> None:
    if request.get("networkMode") != "awsvpc":
        raise client_error("Fargate only supports network mode ‘awsvpc’.")
    for name in ("cpu", "memory"):
        if not request.get(name):
            raise client_error(f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = int(request["cpu"]), int(request["memory"])
    if memory not in FARGATE_MEMORY.get(cpu, ()):
        raise client_error(
            "No Fargate configuration exists for given values: "
            f"{cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
        )
    if any(c.get("privileged") for c in request["containerDefinitions"]):
        raise client_error("Fargate does not support privileged containers.")


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
