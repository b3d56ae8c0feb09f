"""AWS/ApplicationELB: what load balancers have served, and their targets' health.

Source: ELB user guide, "CloudWatch metrics for your Application Load Balancer".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from kaiun.engine.balancer.base import Balancer, Served
from kaiun.engine.metrics.book import Metric, Point, metric_of
from kaiun.engine.metrics.load import Loads
from kaiun.engine.store import Doc
from kaiun.engine.views import health_of
from kaiun.engine.wiring import backend_name
from kaiun.engine.world import World
from kaiun.scaling.statistics import Summary, summary_of
from kaiun.scheduler.model import TargetState

SPACE = "AWS/ApplicationELB"
_CLASSES = (2, 3, 4, 5)


class Source(Protocol):
    async def take(self) -> Mapping[str, Served]:
        """Return what was served since the last time, by the target group's ARN."""


class RequestMetrics:
    """Counts of each minute."""

    def __init__(self, world: World, source: Source) -> None:
        self._world = world
        self._source = source

    async def points(self, at: float) -> list[Point]:
        """Return the data points of the minute that began at `at`."""
        groups = [g for g in self._world.target_groups.values() if g["LoadBalancerArns"]]
        served = await self._source.take() if groups else {}
        by_balancer: dict[str, Served] = {}
        points: list[Point] = []
        for group in groups:
            own = served.get(group["TargetGroupArn"], Served())
            balancer = group["LoadBalancerArns"][0]
            by_balancer[balancer] = by_balancer.get(balancer, Served()).plus(own)
            both = {"LoadBalancer": _tail(balancer), "TargetGroup": _short(group)}
            points += _served(own, both, at)
            points += self._hosts(group, own, both, at)
        for arn, own in by_balancer.items():
            points += _served(own, {"LoadBalancer": _tail(arn)}, at)
            if own.failed:
                metric = metric_of(SPACE, "HTTPCode_ELB_5XX_Count", LoadBalancer=_tail(arn))
                points.append(Point(metric, at, _counted(own.failed), "Count"))
        return points

    def _hosts(
        self, group: Doc, served: Served, both: Mapping[str, str], at: float
    ) -> Iterator[Point]:
        states = [
            health_of(target).state
            for target in self._world.targets.values()
            if target["target_group"] == group["TargetGroupArn"]
        ]
        healthy = states.count(TargetState.HEALTHY)
        for name, count in (
            ("HealthyHostCount", healthy),
            ("UnHealthyHostCount", states.count(TargetState.UNHEALTHY)),
        ):
            yield Point(metric_of(SPACE, name, **both), at, summary_of({float(count): 1}), "Count")
        if divisor := healthy or len(states):
            each = summary_of({served.requests / divisor: 1})
            for dimensions in (both, {"TargetGroup": both["TargetGroup"]}):
                metric = metric_of(SPACE, "RequestCountPerTarget", **dimensions)
                yield Point(metric, at, each, "None")


def _served(served: Served, dimensions: Mapping[str, str], at: float) -> Iterator[Point]:
    def named(name: str) -> Metric:
        return metric_of(SPACE, name, **dimensions)

    yield Point(named("RequestCount"), at, _counted(served.requests), "Count")
    for kind in _CLASSES:
        if count := served.answers.get(kind, 0):
            yield Point(named(f"HTTPCode_Target_{kind}XX_Count"), at, _counted(count), "Count")
    if served.times:
        yield Point(named("TargetResponseTime"), at, summary_of(served.times), "Seconds")


def _counted(count: int) -> Summary:
    """Return a count as ELB tells it: samples of 1, as many as there were; one of 0 for none."""
    return summary_of({1.0: float(count)} if count else {0.0: 1.0})


def _short(group: Doc) -> str:
    return str(group["TargetGroupArn"].rpartition(":")[2])


def _tail(arn: str) -> str:
    return arn.partition(":loadbalancer/")[2]


class BalancerSource:
    """What the data plane has counted."""

    def __init__(self, world: World, balancer: Balancer) -> None:
        self._world = world
        self._balancer = balancer

    async def take(self) -> Mapping[str, Served]:
        arns = {backend_name(arn): arn for arn in self._world.target_groups}
        served = await self._balancer.take_served()
        return {arns[name]: own for name, own in served.items() if name in arns}


class ImaginedSource:
    """What the load file says of services; of a service's target groups, each has all of it."""

    def __init__(self, world: World, loads: Loads) -> None:
        self._world = world
        self._loads = loads

    async def take(self) -> Mapping[str, Served]:
        found: dict[str, Served] = {}
        for owner, load in self._loads.read().items():
            for arn in _groups_of(self._world.services.values(), owner):
                requests = round(load.requests)
                bad = round(requests * min(100.0, load.errors) / 100)
                answers = {2: requests - bad, 5: bad}
                times = {load.response_ms / 1000: float(requests)} if requests else {}
                own = Served(requests, answers, 0, times)
                found[arn] = found.get(arn, Served()).plus(own)
        return found


def _groups_of(services: Iterable[Doc], owner: str) -> Iterator[str]:
    for service in services:
        cluster = service["clusterArn"].rpartition("/")[2]
        if f"{cluster}/{service['serviceName']}" == owner and service["status"] == "ACTIVE":
            for balancer in service["loadBalancers"]:
                if "targetGroupArn" in balancer:
                    yield balancer["targetGroupArn"]
