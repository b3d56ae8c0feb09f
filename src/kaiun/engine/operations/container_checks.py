"""What ECS refuses in one container of a task definition, in its words.

Source: ECS API reference, ContainerDefinition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kaiun.engine.protocol.errors import client_error
from kaiun.engine.store import Doc

NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
MOST_FILES = 10
MOST_EXIT_CODES = 50
_ENV_FILE = re.compile(r"arn:aws[a-z-]*:s3:::[^/]+/.*\.env")
_RESTART_PERIOD_S = (60, 1800)


def check_container(container: Doc, request: Doc) -> None:
    """Raise ClientException for what ECS does not accept in one container of `request`."""
    name = container.get("name")
    if not name:
        raise client_error("Container.name should not be null or empty.")
    if not NAME.fullmatch(name):
        raise client_error(
            f"Invalid container name ({name}). Up to 255 letters, numbers, hyphens and underscores."
        )
    if not container.get("image"):
        raise client_error("Container.image should not be null or empty.")
    _check_memory(container, request)
    _check_ranges(container)
    _check_health(container)
    for mapping in container.get("portMappings", ()):
        _check_mapping(mapping, request)
    check_environment(container)
    _check_restarts(container)
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
    files = container.get("environmentFiles", ())
    if len(files) > MOST_FILES:
        raise client_error(f"A container cannot have more than {MOST_FILES} environment files.")
    for file in files:
        if not _ENV_FILE.fullmatch(file["value"]):
            raise client_error(
                f"Invalid environment file '{file['value']}': the value must be the ARN of an "
                "object in Amazon S3 whose name ends with .env."
            )


def _check_restarts(container: Doc) -> None:
    policy = container.get("restartPolicy", {})
    place = f"Invalid 'restartPolicy' setting for container '{container['name']}'"
    low, high = _RESTART_PERIOD_S
    if not low <= policy.get("restartAttemptPeriod", low) <= high:
        raise client_error(f"{place}: restartAttemptPeriod must be between {low} and {high}.")
    if len(policy.get("ignoredExitCodes", ())) > MOST_EXIT_CODES:
        raise client_error(f"{place}: at most {MOST_EXIT_CODES} exit codes can be ignored.")


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


def _check_ranges(container: Doc) -> None:
    name = container["name"]
    for member, low in (("cpu", 0), ("memoryReservation", 6), ("startTimeout", 2)):
        if container.get(member, low) < low:
            raise client_error(
                f"Invalid setting for container '{name}'. '{member}' must be at least {low}."
            )
    for limit in container.get("ulimits", ()):
        if limit["softLimit"] > limit["hardLimit"] != -1:
            raise client_error(
                f"Invalid ulimit '{limit['name']}' of container '{name}': the soft limit must not "
                "be greater than the hard limit."
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


def _check_repeated(
    names: Iterable[str | None], message: str, others: Iterable[str | None] = ()
) -> None:
    seen = set(others)
    for name in names:
        if name in seen:
            raise client_error(message.format(name))
        seen.add(name)
