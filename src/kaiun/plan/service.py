"""Render the CreateService request for a process, and RunTask for a task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kaiun.plan import names
from kaiun.plan.merge import Json, merge
from kaiun.plan.steps import Kind, Ref

if TYPE_CHECKING:
    from kaiun.config import Config, Process

COUNT_TAG = "kaiun:count"
STARTED_BY_LENGTH = 128


def render(config: Config, process: str) -> Json:
    """Return the CreateService request; task definition and target group stand in as `Ref`."""
    settings = config.processes[process]
    request: Json = {
        "cluster": config.cluster,
        "serviceName": names.service(config, process),
        "taskDefinition": Ref(Kind.TASK_DEFINITION, process),
        "desiredCount": settings.count,
        "launchType": config.launch_type,
        "deploymentConfiguration": _deployment(settings),
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        "tags": [{"key": k, "value": v} for k, v in tags(config, process).items()],
        **_load_balancing(config, process),
        **_connect(config, process),
        **network(config),
    }
    if _is_daemon(settings):
        del request["desiredCount"]
    merged = merge(request, settings.service)
    if "capacityProviderStrategy" in settings.service:
        merged.pop("launchType")
    return merged


def tags(config: Config, process: str) -> dict[str, str]:
    """Return the tags of a service; kaiun:count is the count that kaiun.yml last asked for."""
    return {
        "kaiun:app": config.app,
        "kaiun:environment": config.environment,
        "kaiun:process": process,
        COUNT_TAG: str(config.processes[process].count),
    }


def run_task(
    config: Config,
    name: str,
    task_definition: str | Ref,
    *,
    started_by: str,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Json:
    """Return the RunTask request for one run of a task, or of a process with its own command."""
    override: Json = {"name": name}
    if command:
        override["command"] = list(command)
    if environment:
        override["environment"] = [
            {"name": key, "value": value} for key, value in sorted(environment.items())
        ]
    request: Json = {
        "cluster": config.cluster,
        "taskDefinition": task_definition,
        "count": 1,
        "launchType": config.launch_type,
        "startedBy": re.sub(r"[^A-Za-z0-9/_-]", "-", started_by)[:STARTED_BY_LENGTH],
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        **network(config),
    }
    return request | (
        {"overrides": {"containerOverrides": [override]}} if len(override) > 1 else {}
    )


def network(config: Config) -> Json:
    """Return networkConfiguration, which only the awsvpc mode has."""
    if config.network.mode != "awsvpc":
        return {}
    vpc: Json = {
        "subnets": list(config.network.subnets),
        "securityGroups": list(config.network.security_groups),
        "assignPublicIp": "ENABLED" if config.network.public_ip else "DISABLED",
    }
    return {"networkConfiguration": {"awsvpcConfiguration": vpc}}


def _deployment(settings: Process) -> Json:
    breaker = settings.deploy.breaker
    minimum, maximum = settings.deploy.minimum, settings.deploy.maximum
    if _is_daemon(settings):  # which never has more than one task on an instance
        minimum, maximum = minimum if minimum < 100 else 0, 100
    return {
        "minimumHealthyPercent": minimum,
        "maximumPercent": maximum,
        "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker},
    }


def _is_daemon(settings: Process) -> bool:
    return settings.service.get("schedulingStrategy") == "DAEMON"


def _load_balancing(config: Config, process: str) -> Json:
    """Return load balancer and grace period, which covers a container's own check as well."""
    settings = config.processes[process]
    group = names.target_group(config, process)
    checked = settings.health is not None and settings.health.command is not None
    told: Json = {"healthCheckGracePeriodSeconds": settings.grace} if group or checked else {}
    if group is None:
        return told
    arn = group if group.startswith("arn:") else Ref(Kind.TARGET_GROUP, group)
    entry: Json = {
        "targetGroupArn": arn,
        "containerName": process,
        "containerPort": settings.port,
    }
    return {"loadBalancers": [entry], **told}


def _connect(config: Config, process: str) -> Json:
    """Return Service Connect: a process with a port answers to its own name on that port."""
    if config.service_connect is None:
        return {}
    connect: Json = {"enabled": True, "namespace": config.service_connect}
    port = config.processes[process].port
    if port is not None:
        alias: Json = {"port": port, "dnsName": process}
        connect["services"] = [
            {"portName": process, "discoveryName": process, "clientAliases": [alias]}
        ]
    return {"serviceConnectConfiguration": connect}
