"""What Fargate does not run, in the words of ECS.

Source: ECS developer guide, "Amazon ECS task definition differences for Fargate".
"""

from __future__ import annotations

from kaiun.engine.operations.task_size import FARGATE_MEMORY
from kaiun.engine.protocol.errors import client_error
from kaiun.engine.store import Doc

_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_LONGEST_STOP_S = 120
_STORAGE_GIB = (21, 200)


def check_fargate(request: Doc) -> None:
    """Raise ClientException for what Fargate does not run."""
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
    if request.get("placementConstraints"):
        raise client_error("Fargate does not support placement constraints.")
    if request.get("ipcMode"):
        raise client_error("Fargate does not support ipcMode.")
    if request.get("pidMode", "task") != "task":
        raise client_error(
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported "
            "value for pidMode is 'task'."
        )
    _check_storage(request)
    for container in request["containerDefinitions"]:
        _check_container(container)


def _check_storage(request: Doc) -> None:
    low, high = _STORAGE_GIB
    size = request.get("ephemeralStorage", {}).get("sizeInGiB", low)
    if not low <= size <= high:
        raise client_error(f"ephemeralStorage must be between {low} and {high} GiB.")
    for volume in request.get("volumes", ()):
        if volume.get("host", {}).get("sourcePath"):
            raise client_error("host.sourcePath should not be set for volumes in Fargate.")
        if "dockerVolumeConfiguration" in volume:
            raise client_error("Fargate does not support dockerVolumeConfiguration.")


def _check_container(container: Doc) -> None:
    name = container["name"]
    if container.get("stopTimeout", 0) > _LONGEST_STOP_S:
        raise client_error(
            f"stopTimeout must be between 0 and {_LONGEST_STOP_S} seconds on Fargate."
        )
    driver = container.get("logConfiguration", {}).get("logDriver", _LOG_DRIVERS[0])
    if driver not in _LOG_DRIVERS:
        raise client_error(
            f"Fargate only supports log drivers {', '.join(_LOG_DRIVERS)}: container '{name}' "
            f"has {driver}."
        )
    if any(r["type"] == "GPU" for r in container.get("resourceRequirements", ())):
        raise client_error("Fargate does not support GPU resources.")
