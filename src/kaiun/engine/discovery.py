"""Names of service registries (Cloud Map), read from the side services.

Source: Cloud Map API, GetService and GetNamespace; ECS developer guide, "service discovery": the
tasks of a service are found as SERVICE.NAMESPACE.
"""

from __future__ import annotations

from typing import Any

from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.sidecall import CallFailure, SideCalls

_TARGET = "Route53AutoNaming_v20170314."


class RegistryReader:
    """Reads what a service registry is called; what cannot be had is a RuntimeFailure."""

    def __init__(self, calls: SideCalls) -> None:
        self._calls = calls

    async def name(self, arn: str) -> str | None:
        """Return the DNS name of a registryArn; None in a namespace without DNS (HTTP)."""
        try:
            service = await self._ask("GetService", arn.rpartition("/")[2], "Service")
            of = service.get("NamespaceId") or service.get("DnsConfig", {}).get("NamespaceId", "")
            namespace = await self._ask("GetNamespace", of, "Namespace")
        except CallFailure as failure:
            raise RuntimeFailure(
                "ResourceInitializationError", f"unable to find service registry {arn}: {failure}"
            ) from failure
        if namespace["Type"] == "HTTP":
            return None
        return f"{service['Name']}.{namespace['Name']}"

    async def _ask(self, operation: str, resource_id: str, member: str) -> dict[str, Any]:
        answer = await self._calls.ask("servicediscovery", _TARGET + operation, {"Id": resource_id})
        found: dict[str, Any] = answer[member]
        return found
