"""Link-local addresses of containers, by which they reach the task metadata endpoint.

A container that has one takes 169.254.0.0/16 for its own network, where the door answers; that of
the instance's metadata (169.254.169.254) is the door's too, and refuses. Source: Docker's
LinkLocalIPs, which it gives a mask of 16 bits.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

LABEL: Final = "kaiun.link-local"
INSTANCE_METADATA: Final = "169.254.169.254"
_FIRST: Final = int(ipaddress.IPv4Address("169.254.172.1"))  # ECS: 169.254.172.0/22
_COUNT: Final = int(ipaddress.IPv4Address("169.254.255.254")) - _FIRST


class LinkLocal:
    """Which container has which; in turn, so that one that was given back rests a while."""

    def __init__(self) -> None:
        self._by_task: dict[str, dict[str, str]] = {}
        self._used: set[str] = set()
        self._next = 0

    def note(self, labels: Mapping[str, str]) -> None:
        """Take note of a container that is there already."""
        if address := labels.get(LABEL):
            self._by_task.setdefault(labels["kaiun.task"], {})[labels["kaiun.container"]] = address
            self._used.add(address)
            self._next = max(self._next, int(ipaddress.IPv4Address(address)) - _FIRST + 1)

    def claim(self, task_id: str, name: str) -> str:
        """Return the address of a container, the same each time."""
        own = self._by_task.setdefault(task_id, {})
        if name not in own:
            own[name] = self._free()
        return own[name]

    def release(self, task_id: str) -> None:
        self._used -= set(self._by_task.pop(task_id, {}).values())

    def _free(self) -> str:
        for step in range(_COUNT):
            address = str(ipaddress.IPv4Address(_FIRST + (self._next + step) % _COUNT))
            if address not in self._used:
                self._used.add(address)
                self._next += step + 1
                return address
        raise RuntimeError("all link-local addresses are used")
