"""Read what is live: two rounds of calls, those of a round side by side.

Fewer calls than `kaiun.plan.live` lists suffice: that the cluster exists is told by
DescribeServices, that the log group exists by a live task definition which already writes to it,
and which load balancer there is by its target group. Services that kaiun.yml no longer has are
looked for only on demand (`thorough`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kaiun.deploy.logplace import containers, place
from kaiun.errors import AwsError
from kaiun.plan.live import Live

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.aws.types import Listener, LoadBalancer, Service, TargetGroup, TaskDefinition
    from kaiun.plan.live import Wanted

T = TypeVar("T")
AT_ONCE = 8
NO_CLUSTER = {"ClusterNotFoundException"}


def snapshot(aws: Aws, wanted: Wanted, *, thorough: bool = False) -> Live:
    """Return what is live of everything in `wanted`. Raises AwsError."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="snapshot") as pool:
        return _Reader(aws, wanted, pool).read(thorough)


class _Reader:
    def __init__(self, aws: Aws, wanted: Wanted, pool: ThreadPoolExecutor) -> None:
        self.aws, self.wanted, self.pool = aws, wanted, pool

    def read(self, thorough: bool) -> Live:
        wanted, ecs = self.wanted, self.aws.ecs
        services = self._soon(self._services)
        newest = {
            name: self._soon(partial(ecs.describe_task_definition, family))
            for name, family in wanted.families.items()
        }
        groups = self._soon(lambda: self.aws.elb.target_groups(wanted.target_groups))
        found = groups.result() if wanted.target_groups else {}
        balancing = self._soon(lambda: self._balancing(found))
        attributes = {
            name: self._soon(
                partial(self.aws.elb.target_group_attributes, found[name]["TargetGroupArn"])
            )
            for name in wanted.provisioned_target_groups
            if name in found
        }
        cluster, live_services = services.result()
        others = self._soon(self._others) if thorough and cluster else None
        definitions = self._definitions(live_services, {k: f.result() for k, f in newest.items()})
        load_balancer, listeners = balancing.result()
        return Live(
            cluster=cluster,
            services=live_services,
            task_definitions=definitions,
            log_group=self._log_group(definitions),
            target_groups=found,
            target_group_attributes={name: f.result() for name, f in attributes.items()},
            load_balancer=load_balancer,
            listeners=listeners,
            other_services=others.result() if others else (),
            vpc=self._vpc(found),
        )

    def _soon(self, call: Callable[[], T]) -> Future[T]:
        return self.pool.submit(call)

    def _services(self) -> tuple[bool, dict[str, Service]]:
        wanted = self.wanted
        if not wanted.services:
            return self.aws.ecs.describe_cluster(wanted.cluster) is not None, {}
        try:
            names = list(wanted.services.values())
            found = self.aws.ecs.describe_services(wanted.cluster, names)
        except AwsError as problem:
            if problem.code in NO_CLUSTER:
                return False, {}
            raise
        alive = {k: v for k, v in found.items() if v.get("status") != "INACTIVE"}
        return True, {p: alive[name] for p, name in wanted.services.items() if name in alive}

    def _definitions(
        self, services: Mapping[str, Service], newest: Mapping[str, TaskDefinition | None]
    ) -> dict[str, tuple[TaskDefinition, ...]]:
        """Add the task definition that a service runs where it is not its family's newest."""
        running = {
            name: self._soon(partial(self.aws.ecs.describe_task_definition, arn))
            for name, service in services.items()
            if (arn := service.get("taskDefinition", ""))
            and arn != (newest[name] or {}).get("taskDefinitionArn")
        }
        also = {name: future.result() for name, future in running.items()}
        pairs = {name: (newest[name], also.get(name)) for name in newest}
        return {name: kept for name, pair in pairs.items() if (kept := tuple(d for d in pair if d))}

    def _log_group(self, definitions: Mapping[str, tuple[TaskDefinition, ...]]) -> bool:
        group = self.wanted.log_group
        if group is None:
            return False
        kept = (d for name in self.wanted.services for d in definitions.get(name, ()))
        if any(_writes_to(definition, group) for definition in kept):
            return True
        return self.aws.logs.group_exists(group)

    def _balancing(
        self, groups: Mapping[str, TargetGroup]
    ) -> tuple[LoadBalancer | None, dict[int, Listener]]:
        name = self.wanted.load_balancer
        if name is None:
            return None, {}
        arns = {arn for group in groups.values() for arn in group.get("LoadBalancerArns", [])}
        known = next((arn for arn in sorted(arns) if f"/{name}/" in arn), None)
        balancer: LoadBalancer | None = (
            {"LoadBalancerArn": known, "LoadBalancerName": name}
            if known
            else self.aws.elb.load_balancer(name)
        )
        if balancer is None:
            return None, {}
        return balancer, self.aws.elb.listeners(balancer["LoadBalancerArn"])

    def _others(self) -> tuple[str, ...]:
        known = set(self.wanted.services.values())
        arns = self.aws.ecs.list_services(self.wanted.cluster)
        names = sorted(arn.rpartition("/")[2] for arn in arns)
        prefix = self.wanted.service_prefix
        return tuple(n for n in names if n.startswith(prefix) and n not in known)

    def _vpc(self, groups: Mapping[str, TargetGroup]) -> str:
        missing = set(self.wanted.provisioned_target_groups) - set(groups)
        if not missing or self.aws.is_local or not self.wanted.subnets:
            return ""
        return self.aws.vpc_of(self.wanted.subnets[0])


def _writes_to(definition: TaskDefinition, group: str) -> bool:
    places = (place(definition, str(c.get("name"))) for c in containers(definition))
    return any(found is not None and found.group == group for found in places)
