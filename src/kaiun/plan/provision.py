"""Plan what has to be there before anything runs: cluster, log group, load balancing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.errors import ConfigError
from kaiun.plan.diff import changes
from kaiun.plan.merge import Json
from kaiun.plan.steps import (
    CreateCluster,
    CreateListener,
    CreateLoadBalancer,
    CreateLogGroup,
    CreateTargetGroup,
    Kind,
    Ref,
    Step,
    UpdateTargetGroup,
    settled,
)

if TYPE_CHECKING:
    from kaiun.aws.types import Listener, TargetGroup
    from kaiun.plan.balancing import ListenerSpec, TargetGroupSpec
    from kaiun.plan.desired import Desired
    from kaiun.plan.live import Live

CREATE = "create it, or let kaiun do so: `provision: true`"
CHECKED = (
    "HealthCheckProtocol",
    "HealthCheckPath",
    "HealthCheckIntervalSeconds",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "UnhealthyThresholdCount",
    "Matcher",
)


@dataclass(slots=True)
class Provision:
    """Steps of the first two waves; `known`: the ARNs of what exists already."""

    steps: list[Step] = field(default_factory=list)
    listeners: list[Step] = field(default_factory=list)
    known: dict[Ref, str] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)

    def missing(self, key: str, message: str, hint: str = CREATE) -> None:
        self.problems.append(ConfigError(f"{key}: {message}", hint=hint))


def provision(desired: Desired, live: Live) -> Provision:
    """Return the steps for what is missing, or, without `provision`, the problems."""
    found = Provision()
    _cluster(desired, live, found)
    _log_group(desired, live, found)
    for name, spec in desired.target_groups.items():
        _target_group(desired, live, name, spec, found)
    if desired.provision and desired.load_balancer is not None:
        _load_balancer(desired, live, desired.load_balancer, found)
    return found


def _cluster(desired: Desired, live: Live, found: Provision) -> None:
    cluster = desired.wanted.cluster
    if live.cluster:
        return
    if desired.provision:
        tags = [{"key": key, "value": value} for key, value in desired.tags_of_all.items()]
        found.steps.append(CreateCluster(cluster, {"clusterName": cluster, "tags": tags}))
    else:
        found.missing("cluster", f"there is no cluster {cluster!r} here")


def _log_group(desired: Desired, live: Live, found: Provision) -> None:
    group = desired.wanted.log_group
    if group is None or live.log_group:
        return
    if desired.provision:
        request = {"logGroupName": group, "tags": desired.tags_of_all}
        found.steps.append(CreateLogGroup(group, request))
    else:
        found.missing("logs/group", f"there is no log group {group!r}")


def _target_group(
    desired: Desired, live: Live, name: str, spec: TargetGroupSpec, found: Provision
) -> None:
    key = f"processes/{spec.process}/target_group"
    group = live.target_groups.get(name)
    makes = name in desired.wanted.provisioned_target_groups
    if group is None and makes:
        vpc = {"VpcId": live.vpc} if live.vpc else {}
        found.steps.append(CreateTargetGroup(name, spec.request | vpc, spec.attributes))
        return
    if group is None:
        hint = "correct the ARN" if name.startswith("arn:") else CREATE
        found.missing(key, f"there is no target group {name!r}", hint)
        return
    arn = group["TargetGroupArn"]
    found.known[Ref(Kind.TARGET_GROUP, name)] = arn
    found.problems.extend(_unusable(key, group, spec, provision=desired.provision))
    if makes and (step := _update(name, group, spec, live.target_group_attributes.get(name, {}))):
        found.steps.append(step)


def _unusable(
    key: str, group: TargetGroup, spec: TargetGroupSpec, *, provision: bool
) -> Iterator[ConfigError]:
    name, has, needs = group["TargetGroupName"], group.get("TargetType"), spec.request["TargetType"]
    if has and has != needs:
        message = f"target group {name!r} has targets of type {has!r}, the tasks are {needs!r}"
        yield ConfigError(f"{key}: {message}", hint="change `network: {mode: …}` or the group")
    if not provision and not group.get("LoadBalancerArns"):
        message = f"no load balancer forwards to target group {name!r}"
        yield ConfigError(f"{key}: {message}", hint="add a listener, or a rule, that does")


def _update(
    name: str, group: TargetGroup, spec: TargetGroupSpec, attributes: Mapping[str, str]
) -> UpdateTargetGroup | None:
    wanted = {key: spec.request[key] for key in CHECKED if key in spec.request}
    told = {key: group.get(key) for key in wanted}
    health = {key: value for key, value in wanted.items() if told[key] != value}
    settings = {k: v for k, v in spec.attributes.items() if attributes.get(k) != v}
    if not health and not settings:
        return None
    old = {key: told[key] for key in health} | {key: attributes.get(key) for key in settings}
    arn = group["TargetGroupArn"]
    differences = changes(old, health | settings)
    return UpdateTargetGroup(name, arn, {"TargetGroupArn": arn, **health}, settings, differences)


def _load_balancer(desired: Desired, live: Live, request: Json, found: Provision) -> None:
    name = str(request["Name"])
    reference = Ref(Kind.LOAD_BALANCER, name)
    if live.load_balancer is None:
        found.steps.append(CreateLoadBalancer(name, request))
    else:
        found.known[reference] = live.load_balancer["LoadBalancerArn"]
    taken: dict[int, str] = {}
    for spec in desired.listeners:
        other = taken.setdefault(spec.port, spec.process)
        if other != spec.process:
            key = f"processes/{spec.process}/listen"
            found.missing(key, f"{other} listens on {spec.port} already", "take another port")
        else:
            _listener(name, spec, live.listeners.get(spec.port), found)


def _listener(
    load_balancer: str, spec: ListenerSpec, listener: Listener | None, found: Provision
) -> None:
    request = settled(spec.request, found.known)
    if listener is None:
        found.listeners.append(CreateListener(f"{load_balancer}:{spec.port}", request))
        return
    wanted = request["DefaultActions"]
    assert isinstance(wanted, list)  # noqa: S101
    arn = wanted[0]["TargetGroupArn"]
    told = [action.get("TargetGroupArn") for action in listener.get("DefaultActions", [])]
    if arn not in told:
        key = f"processes/{spec.process}/listen"
        message = f"the listener {load_balancer}:{spec.port} forwards to another target group"
        found.missing(key, message, "delete that listener, or take another port")
