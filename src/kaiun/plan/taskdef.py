"""Render the ECS task definition for one process or task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.plan import names
from kaiun.plan.merge import Json, merge

if TYPE_CHECKING:
    from kaiun.config import Config, Health, Process, Task
    from kaiun.plan.steps import Release

DEFAULT_FLUENTD = "127.0.0.1:24224"


@dataclass(frozen=True, slots=True)
class Place:
    """What the connection to AWS knows and kaiun.yml need not say.

    `fluentd` is where the local ECS receives logs; it takes the place of the default address.
    `hide`: values of secrets that stand in kaiun.yml by interpolation.
    """

    region: str | None = None
    fluentd: str | None = None
    hide: frozenset[str] = field(default=frozenset(), repr=False)


def render(config: Config, name: str, release: Release, place: Place | None = None) -> Json:
    """Return the RegisterTaskDefinition request for a process or task."""
    workload = config.processes.get(name) or config.tasks[name]
    request: Json = {
        "family": names.family(config, name),
        "networkMode": config.network.mode,
        "requiresCompatibilities": [config.launch_type],
        "containerDefinitions": [_container(config, name, workload, release, place or Place())],
        "tags": [{"key": key, "value": value} for key, value in tags(config, name, release)],
    }
    request |= _roles(config)
    if config.launch_type == "FARGATE":
        request |= _fargate(workload)
    return merge(request, workload.task_definition)


def tags(config: Config, name: str, release: Release) -> list[tuple[str, str]]:
    """Return the tags of a task definition; they are not part of any comparison."""
    return [
        ("kaiun:app", config.app),
        ("kaiun:environment", config.environment),
        ("kaiun:process", name),
        ("kaiun:revision", release.revision),
        ("kaiun:release", release.id),
    ]


def _container(
    config: Config, name: str, workload: Process | Task, release: Release, place: Place
) -> Json:
    image = workload.image if isinstance(workload.image, str) else release.image_of(name)
    secrets = [{"name": key, "valueFrom": value} for key, value in sorted(workload.secrets.items())]
    environment = _environment(config, workload, release)
    given: Json = {
        "name": name,
        "image": image,
        "essential": True,
        "command": _command(config, name, workload),
        "entryPoint": list(workload.entrypoint or ()),
        "environment": [{"name": k, "value": v} for k, v in sorted(environment.items())],
        "secrets": secrets,
        "stopTimeout": workload.stop_timeout,
        "logConfiguration": _logs(config, name, place),
        **_size(config, workload),
        **_process(config, name, workload),
    }
    return {key: value for key, value in given.items() if value not in (None, [], {})}


def _command(config: Config, name: str, workload: Process | Task) -> list[str]:
    """Return the command; where kaiun's entry has something to do, it begins with what runs.

    `web -- bundle exec puma` and `tasks migrate -- rake db:migrate` are that command, but the entry
    learns which process it is (see kaiun/entry/command.py).
    """
    words = list(workload.command or ())
    asked = config.start.order or getattr(workload, "beside", None)
    if not asked or not workload.uses_app_image or workload.entrypoint:
        return words
    first = [name] if name in config.processes else ["tasks", name]
    return [*first, "--", *words] if words else first


def _size(config: Config, workload: Process | Task) -> Json:
    if config.launch_type == "FARGATE":
        return {"memoryReservation": workload.memory_reservation}
    return {
        "cpu": workload.cpu,
        "memory": workload.memory,
        "memoryReservation": workload.memory_reservation,
    }


def _fargate(workload: Process | Task) -> Json:
    return {
        "cpu": str(workload.cpu or 256),
        "memory": str(workload.memory or workload.memory_reservation or 512),
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    }


def _roles(config: Config) -> Json:
    given = {"taskRoleArn": config.roles.task, "executionRoleArn": config.roles.execution}
    return {key: value for key, value in given.items() if value}


def _environment(config: Config, workload: Process | Task, release: Release) -> Mapping[str, str]:
    """Return the variables of a container; where the app runs it also learns what it is."""
    told: dict[str, str] = {}
    if workload.uses_app_image:
        told["KAIUN_REVISION"] = release.revision
        told["KAIUN_ENVIRONMENT"] = config.environment
        port = getattr(workload, "port", None)
        told |= {"PORT": str(port)} if port else {}
    told = {key: value for key, value in told.items() if key not in workload.secrets}
    return {**told, **workload.env}


def _process(config: Config, name: str, workload: Process | Task) -> Json:
    process = config.processes.get(name)
    if process is None or process is not workload:
        return {}
    ports = [] if process.port is None else [_port(config, name, process.port)]
    return {"portMappings": ports, "healthCheck": health_check(process.health)}


def _port(config: Config, name: str, port: int) -> Json:
    mapping: Json = {
        "containerPort": port,
        "hostPort": port if config.network.mode == "awsvpc" else 0,
        "protocol": "tcp",
    }
    return mapping | ({"name": name} if config.service_connect else {})


def health_check(health: Health | None) -> Json | None:
    """Return the container's health check, None when health is the load balancer's affair."""
    if health is None or health.command is None:
        return None
    shell = health.command[0] in {"CMD", "CMD-SHELL"}
    return {
        "command": list(health.command) if shell else ["CMD", *health.command],
        "interval": health.interval,
        "timeout": health.timeout,
        "retries": health.unhealthy,
        "startPeriod": health.start,
    }


def _logs(config: Config, name: str, place: Place) -> Json | None:
    logs = config.logs
    if logs.driver == "none":
        return None
    family = names.family(config, name)
    own: dict[str, str] = {}
    if logs.driver == "awslogs":
        own = {"awslogs-group": logs.group, "awslogs-stream-prefix": family}
        region = config.region or place.region
        own |= {"awslogs-region": region} if region else {}
    elif logs.driver == "fluentd":
        default = logs.address == DEFAULT_FLUENTD
        address = place.fluentd if place.fluentd and default else logs.address
        own = {
            "fluentd-address": address,
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "tag": logs.group,
        }
    return {"logDriver": logs.driver, "options": {**own, **logs.options}}
