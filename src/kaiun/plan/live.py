"""What is live, as the plan wants it, and what has to be read for that.

`wanted(config)` names everything to read. The calls, all of the first round in parallel:

    DescribeClusters                    1
    ListServices                        1 per 100 services of the cluster (removed processes)
    DescribeServices, include TAGS      1 per 10 services
    DescribeTaskDefinition(family)      1 per family
    DescribeLogGroups(prefix)           1, when the log driver has a group
    DescribeTargetGroups(names)         1, when a process has a target group
    DescribeLoadBalancers(name)         1, when provision and a process listens
  then, only as needed:
    DescribeTaskDefinition(arn)         for a service that does not run its family's newest
    DescribeListeners(load balancer)    1, when provision and the load balancer exists
    DescribeTargetGroupAttributes       1 per target group that kaiun provisions
    DescribeSubnets                     1, when provision, not local, and a target group is missing
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.aws.types import Listener, LoadBalancer, Service, TargetGroup, TaskDefinition


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names to read. `target_groups` holds names and ARNs alike, as kaiun.yml has them."""

    cluster: str
    services: Mapping[str, str]
    families: Mapping[str, str]
    log_group: str | None
    target_groups: tuple[str, ...]
    provisioned_target_groups: tuple[str, ...]
    load_balancer: str | None
    subnets: tuple[str, ...]
    service_prefix: str


@dataclass(frozen=True, slots=True)
class Live:
    """The answers of AWS.

    services: by process name; without those that do not exist or are INACTIVE
    task_definitions: by process or task name; the newest of the family and, where that is
        another, the one that the service runs; the order does not matter
    target_groups, target_group_attributes: by the name or ARN in `Wanted`
    listeners: by port, of the app's load balancer
    other_services: services of the cluster whose names begin with `Wanted.service_prefix`
        and that are not in `Wanted.services`
    vpc: the VPC of the configured subnets, read only when a target group has to be made
    """

    cluster: bool
    services: Mapping[str, Service] = field(default_factory=dict)
    task_definitions: Mapping[str, tuple[TaskDefinition, ...]] = field(default_factory=dict)
    log_group: bool = False
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    target_group_attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    load_balancer: LoadBalancer | None = None
    listeners: Mapping[int, Listener] = field(default_factory=dict)
    other_services: tuple[str, ...] = ()
    vpc: str = ""
