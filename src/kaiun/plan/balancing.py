"""Render the target groups, the load balancer and the listeners that kaiun provisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.plan import names
from kaiun.plan.merge import Json
from kaiun.plan.steps import Kind, Ref

if TYPE_CHECKING:
    from kaiun.config import Config, Health, Process

DRAIN = "deregistration_delay.timeout_seconds"


@dataclass(frozen=True, slots=True)
class TargetGroupSpec:
    """A target group as kaiun.yml wants it. `process` is the (first) process that names it."""

    process: str
    request: Json
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    process: str
    port: int
    request: Json


def target_groups(config: Config) -> dict[str, TargetGroupSpec]:
    """Return the target groups by name or ARN, in the order of kaiun.yml."""
    specs: dict[str, TargetGroupSpec] = {}
    for process, settings in config.processes.items():
        group = names.target_group(config, process)
        if group and group not in specs:
            request = _target_group(config, group, settings)
            specs[group] = TargetGroupSpec(process, request, {DRAIN: str(settings.drain)})
    return specs


def load_balancer(config: Config) -> Json | None:
    """Return CreateLoadBalancer, None when no process listens."""
    if not any(item.listen for item in config.processes.values()):
        return None
    request: Json = {"Name": names.load_balancer(config), "Type": "application", **_tags(config)}
    if config.network.subnets:
        request["Subnets"] = list(config.network.subnets)
    if config.network.security_groups:
        request["SecurityGroups"] = list(config.network.security_groups)
    return request


def listeners(config: Config) -> list[ListenerSpec]:
    """Return a listener for every process that listens."""
    return [
        ListenerSpec(process, settings.listen, _listener(config, process, settings.listen))
        for process, settings in config.processes.items()
        if settings.listen
    ]


def _target_group(config: Config, name: str, settings: Process) -> Json:
    return {
        "Name": name,
        "Protocol": "HTTP",
        "Port": settings.port or 80,
        "TargetType": "ip" if config.network.mode == "awsvpc" else "instance",
        **_health(settings.health),
        **_tags(config),
    }


def _health(health: Health | None) -> Json:
    """Return the health check of a target group; without a path AWS asks for "/"."""
    if health is None or health.path is None:
        return {}
    return {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPath": health.path,
        "HealthCheckIntervalSeconds": health.interval,
        "HealthCheckTimeoutSeconds": health.timeout,
        "HealthyThresholdCount": health.healthy,
        "UnhealthyThresholdCount": health.unhealthy,
        "Matcher": {"HttpCode": health.matcher},
    }


def _listener(config: Config, process: str, port: int) -> Json:
    group = names.target_group(config, process) or ""
    arn = group if group.startswith("arn:") else Ref(Kind.TARGET_GROUP, group)
    return {
        "LoadBalancerArn": Ref(Kind.LOAD_BALANCER, names.load_balancer(config)),
        "Protocol": "HTTP",
        "Port": port,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": arn}],
        **_tags(config),
    }


def _tags(config: Config) -> Json:
    pairs = [("kaiun:app", config.app), ("kaiun:environment", config.environment)]
    return {"Tags": [{"Key": key, "Value": value} for key, value in pairs]}
