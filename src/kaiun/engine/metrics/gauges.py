"""What is measured, by the runtime that there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kaiun.engine.balancer.base import Balancer
from kaiun.engine.metrics.book import Point
from kaiun.engine.metrics.load import Loads
from kaiun.engine.metrics.meters import ContainerMeter, ImaginedMeter
from kaiun.engine.metrics.requests import BalancerSource, ImaginedSource, RequestMetrics
from kaiun.engine.metrics.services import ServiceMetrics
from kaiun.engine.runtime.base import Runtime
from kaiun.engine.world import World


class Gauge(Protocol):
    """Something that has data points for every minute."""

    async def points(self, at: float) -> list[Point]:
        """Return those of the minute that began at `at`, which is just over."""


def imagined(world: World, home: Path, defaults: Mapping[str, str]) -> tuple[Gauge, ...]:
    """Return the gauges of the null runtime; `defaults` are labels of all containers."""
    loads = Loads(home)
    return (
        ServiceMetrics(world, ImaginedMeter(world, loads, defaults)),
        RequestMetrics(world, ImaginedSource(world, loads)),
    )


def measured(world: World, runtime: Runtime, balancer: Balancer) -> tuple[Gauge, ...]:
    """Return the gauges of containers and of the data plane."""
    return (
        ServiceMetrics(world, ContainerMeter(runtime.usage)),
        RequestMetrics(world, BalancerSource(world, balancer)),
    )
