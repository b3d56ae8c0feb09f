"""The names that kaiun gives to things on AWS.

Family and service are both APP-ENVIRONMENT-NAME; `task_definition: {family: …}` and
`service: {serviceName: …}` give others, so that what exists already can be taken over.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kaiun.plan.live import Wanted

if TYPE_CHECKING:
    from kaiun.config import Config

ELB_NAME_LENGTH = 32


def family(config: Config, name: str) -> str:
    """Return the task definition family of a process or task."""
    workload = config.processes.get(name) or config.tasks[name]
    return str(workload.task_definition.get("family") or prefix(config) + name)


def service(config: Config, process: str) -> str:
    """Return the name of the service of a process."""
    return str(config.processes[process].service.get("serviceName") or prefix(config) + process)


def prefix(config: Config) -> str:
    """Return what the names of all families and services of this environment begin with."""
    return f"{config.app}-{config.environment}-"


def target_group(config: Config, process: str) -> str | None:
    """Return the name or ARN of a process's target group, None when it has none."""
    settings = config.processes[process]
    if settings.target_group:
        return settings.target_group
    return elb_name(prefix(config) + process) if settings.listen else None


def load_balancer(config: Config) -> str:
    """Return the name of the load balancer that kaiun makes for this environment."""
    return elb_name(f"{config.app}-{config.environment}")


def elb_name(name: str) -> str:
    """Return a name of at most 32 characters; a longer one ends in a hash of the whole.

    Source: ELBv2 API reference, CreateTargetGroup and CreateLoadBalancer, `Name`.
    """
    if len(name) <= ELB_NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: ELB_NAME_LENGTH - 7].rstrip('-')}-{digest}"


def log_group(config: Config) -> str | None:
    """Return the log group that has to exist: only the awslogs driver writes to one."""
    return config.logs.group if config.logs.driver == "awslogs" else None


def wanted(config: Config) -> Wanted:
    """Return the names of everything that a plan for `config` has to know about."""
    groups = {name: target_group(config, name) for name in config.processes}
    references = sorted({group for group in groups.values() if group})
    makes = config.provision and any(item.listen for item in config.processes.values())
    return Wanted(
        cluster=config.cluster,
        services={name: service(config, name) for name in config.processes},
        families={name: family(config, name) for name in [*config.processes, *config.tasks]},
        log_group=log_group(config),
        target_groups=tuple(references),
        provisioned_target_groups=tuple(
            item for item in references if config.provision and not item.startswith("arn:")
        ),
        load_balancer=load_balancer(config) if makes else None,
        subnets=config.network.subnets,
        service_prefix=prefix(config),
    )
