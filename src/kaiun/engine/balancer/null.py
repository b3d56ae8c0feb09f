"""A data plane that serves nobody; goes with the null runtime."""

from __future__ import annotations

from collections.abc import Mapping

from kaiun.engine.balancer.base import Served, Wiring


class NullBalancer:
    """Implements balancer.base.Balancer; remembers what it was told."""

    def __init__(self) -> None:
        self.wiring = Wiring()

    async def open(self) -> None:
        pass

    async def apply(self, wiring: Wiring) -> None:
        self.wiring = wiring

    async def take_served(self) -> Mapping[str, Served]:
        return {}

    async def close(self, *, stop: bool) -> None:
        pass
