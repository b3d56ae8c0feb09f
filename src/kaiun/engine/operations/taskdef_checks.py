"""What ECS refuses in a task definition, in its words.

Source: ECS API reference, RegisterTaskDefinition.
"""

from __future__ import annotations

from collections import Counter

from kaiun.engine.operations.container_checks import NAME, check_container
from kaiun.engine.operations.fargate_checks import check_fargate
from kaiun.engine.operations.task_size import check_sums
from kaiun.engine.protocol.errors import client_error
from kaiun.engine.store import Doc

_EXIT_CONDITIONS = ("COMPLETE", "SUCCESS")


def check(request: Doc) -> None:
    """Raise ClientException or InvalidParameterException for what ECS does not accept."""
    if not NAME.fullmatch(request["family"]):
        raise client_error(
            "Family contains invalid characters. Only letters, numbers, hyphens and underscores "
            "are allowed, up to 255."
        )
    containers = request["containerDefinitions"]
    if not containers:
        raise client_error("Container list cannot be empty.")
    for container in containers:
        check_container(container, request)
    _check_names(containers)
    _check_dependencies(containers)
    _check_links(containers, request)
    _check_volumes(containers, request)
    _check_ports(containers, request)
    check_sums(request)
    if "FARGATE" in request.get("requiresCompatibilities", ()):
        check_fargate(request)


def _check_names(containers: list[Doc]) -> None:
    name, count = Counter(c["name"] for c in containers).most_common(1)[0]
    if count > 1:
        raise client_error(f"Container names must be unique: '{name}' is used {count} times.")
    if not any(c.get("essential", True) for c in containers):
        raise client_error("At least one essential container must be specified.")


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
