"""Services by the Cloud Map namespace that their Service Connect names."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import name_of, page
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DEFAULT_SIZE = 10


@operation("ecs", "ListServicesByNamespace")
def list_services_by_namespace(world: World, params: Params) -> Params:
    wanted = params["namespace"]
    if not wanted:
        raise invalid_parameter("The namespace cannot be empty.")
    names = {wanted, name_of(wanted)}
    known = {_default_of(cluster) for cluster in world.clusters.values()}
    of_services = {s["serviceArn"]: _namespace_of(world, s) for s in world.services.values()}
    if not names & {*known, *of_services.values()}:
        raise ApiError("NamespaceNotFoundException", f"The namespace {wanted} was not found.")
    arns = [
        arn
        for arn, namespace in of_services.items()
        if namespace in names and world.services[arn]["status"] != "INACTIVE"
    ]
    size = params.get("maxResults") or DEFAULT_SIZE
    part, following = page(arns, {**params, "maxResults": size}, limit=100)
    return {"serviceArns": part, **({"nextToken": following} if following else {})}


def _namespace_of(world: World, service: Doc) -> str | None:
    connect = service["_"]["last"].get("serviceConnectConfiguration", {})
    if not connect.get("enabled"):
        return None
    namespace: str | None = connect.get("namespace")
    return namespace or _default_of(world.clusters[service["clusterArn"]])


def _default_of(cluster: Doc) -> str | None:
    """Return the namespace that Service Connect uses where a service names none."""
    namespace: str | None = cluster.get("serviceConnectDefaults", {}).get("namespace")
    return namespace
