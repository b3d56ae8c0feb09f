"""ECS services as they are read: described, listed, found by their namespace."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations import external
from kaiun.engine.operations.common import (
    cluster_arn,
    missing,
    page,
    service_arn,
    shown,
)
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DEFAULT_SIZE = 10  # of a page of services, where ECS lists 100 of everything else


@operation("ecs", "DescribeServices")
def describe_services(world: World, params: Params) -> bytes:
    cluster = cluster_arn(world, params.get("cluster"))
    names = params["services"]
    if not names:
        raise invalid_parameter("Services cannot be empty.")
    if len(names) > 10:
        raise invalid_parameter("Services cannot have more than 10 entries.")
    tags = "TAGS" in params.get("include", ())
    services, failures = [], []
    prefix = service_arn(world, cluster, "")
    for name in dict.fromkeys(names):
        arn = name if name.startswith("arn:") else prefix + name
        if arn in world.services and arn.startswith(prefix):
            services.append(_rendered(world, arn, tags=tags))
        else:
            failures.append(missing(arn))
    return b'{"services":[%s],"failures":%s}' % (
        b",".join(services),
        json.dumps(failures).encode(),
    )


def _rendered(world: World, arn: str, *, tags: bool) -> bytes:
    """Return a service as JSON; remembered until it changes, for it is what clients poll."""
    service = world.services[arn]
    if tags:
        return json.dumps(view_of(world, service, tags=True), separators=(",", ":")).encode()
    if (kept := world.services.rendered.get(arn)) is None:
        kept = json.dumps(view_of(world, service, tags=False), separators=(",", ":")).encode()
        world.services.rendered[arn] = kept
    return kept


def view_of(world: World, service: Doc, *, tags: bool) -> Doc:
    """Return a service as the API shows it."""
    view = shown(external.with_task_sets(world, service))
    if not tags:
        view.pop("tags", None)
    return view


@operation("ecs", "ListServices")
def list_services(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    arns = [
        s["serviceArn"]
        for s in world.services.values()
        if s["clusterArn"] == cluster
        and s["status"] == "ACTIVE"
        and params.get("launchType") in (None, s.get("launchType"))
        and params.get("schedulingStrategy") in (None, s["schedulingStrategy"])
        and params.get("resourceManagementType") in (None, "CUSTOMER")
    ]
    return _listed(arns, params)


def _listed(arns: Sequence[str], params: Params) -> Params:
    size = params.get("maxResults") or DEFAULT_SIZE
    part, following = page(arns, {**params, "maxResults": size}, limit=100)
    return {"serviceArns": part, **({"nextToken": following} if following else {})}


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
        if namespace in names and world.services[arn]["status"] == "ACTIVE"
    ]
    return _listed(arns, params)


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
