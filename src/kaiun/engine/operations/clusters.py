"""ECS clusters."""

from __future__ import annotations

import re

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations import providers
from kaiun.engine.operations.common import (
    check_tags,
    cluster_arn,
    cluster_arn_of,
    missing,
    paged,
    shown,
)
from kaiun.engine.operations.machine import instances_of, is_machine
from kaiun.engine.operations.settings import value_for_all
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_INSIGHTS = ("enabled", "disabled", "enhanced")


def _new(world: World, name: str) -> Doc:
    return {
        "clusterArn": world.arn(f"cluster/{name}"),
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 1,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [{"name": "containerInsights", "value": _insights(world)}],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }


def _insights(world: World) -> str:
    """Return what a new cluster inherits from the account's setting."""
    value = value_for_all(world, "containerInsights")
    return {"on": "enabled", "off": "disabled"}.get(value, value)


@operation("ecs", "CreateCluster")
def create_cluster(world: World, params: Params) -> Params:
    name = params.get("clusterName", "default")
    if not _NAME.fullmatch(name):
        raise invalid_parameter("Cluster name can only contain letters, numbers, - and _.")
    tags = check_tags(params.get("tags", []))
    old = world.clusters.get(world.arn(f"cluster/{name}"))
    if old is not None and old["status"] == "ACTIVE":
        return {"cluster": _view(world, old, {"SETTINGS", "TAGS", "CONFIGURATIONS"})}
    cluster = _new(world, name)
    cluster["tags"] = tags
    _set(world, cluster, params)
    world.clusters[cluster["clusterArn"]] = cluster
    return {"cluster": _view(world, cluster, {"SETTINGS", "TAGS", "CONFIGURATIONS"})}


@operation("ecs", "UpdateCluster")
def update_cluster(world: World, params: Params) -> Params:
    cluster = world.clusters[cluster_arn(world, params["cluster"])]
    _set(world, cluster, params)
    world.clusters.touch(cluster["clusterArn"])
    return {"cluster": _view(world, cluster, {"SETTINGS", "TAGS", "CONFIGURATIONS"})}


@operation("ecs", "UpdateClusterSettings")
def update_cluster_settings(world: World, params: Params) -> Params:
    return update_cluster(world, params)


@operation("ecs", "PutClusterCapacityProviders")
def put_cluster_capacity_providers(world: World, params: Params) -> Params:
    return update_cluster(world, params)


def _set(world: World, cluster: Doc, params: Params) -> None:
    """Change what is given. Raises InvalidParameterException, changing nothing."""
    given = params.get("settings", [])
    if any("name" not in s or "value" not in s for s in given):
        raise invalid_parameter("A cluster setting must have a name and a value.")
    if bad := [s["value"] for s in given if s["value"] not in _INSIGHTS]:
        raise invalid_parameter(f"Invalid value {bad[0]!r} for the setting containerInsights.")
    changed = {**cluster, **params}
    offered: list[str] = changed["capacityProviders"]
    providers.check_known(world, offered)
    strategy = params.get("defaultCapacityProviderStrategy", ())
    providers.check_strategy(world, strategy, offered)
    for name in (
        "configuration",
        "capacityProviders",
        "defaultCapacityProviderStrategy",
        "serviceConnectDefaults",
    ):
        if name in params:
            cluster[name] = params[name]
    settings = {s["name"]: s for s in [*cluster["settings"], *given]}
    cluster["settings"] = list(settings.values())


@operation("ecs", "DeleteCluster")
def delete_cluster(world: World, params: Params) -> Params:
    arn = cluster_arn(world, params["cluster"])
    cluster = world.clusters[arn]
    if any(s["clusterArn"] == arn and s["status"] != "INACTIVE" for s in world.services.values()):
        raise ApiError(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        )
    if any(t["clusterArn"] == arn and t["lastStatus"] != "STOPPED" for t in world.tasks.values()):
        raise ApiError(
            "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
        )
    if any(not is_machine(instance) for instance in instances_of(world, arn)):
        raise ApiError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    cluster["status"] = "INACTIVE"
    for key in [k for k in world.instances if world.instances[k]["_"]["cluster"] == arn]:
        del world.instances[key]
    world.clusters.touch(arn)
    return {"cluster": _view(world, cluster, set())}


@operation("ecs", "DescribeClusters")
def describe_clusters(world: World, params: Params) -> Params:
    include = set(params.get("include", []))
    clusters, failures = [], []
    if len(params.get("clusters", ())) > 100:
        raise invalid_parameter("Clusters cannot have more than 100 entries.")
    for name in params.get("clusters") or ["default"]:
        arn = cluster_arn_of(world, name)
        if found := world.clusters.get(arn):
            clusters.append(_view(world, found, include))
        else:
            failures.append(missing(arn))
    return {"clusters": clusters, "failures": failures}


@operation("ecs", "ListClusters")
def list_clusters(world: World, params: Params) -> Params:
    arns = [c["clusterArn"] for c in world.clusters.values() if c["status"] == "ACTIVE"]
    return paged("clusterArns", arns, params)


def _view(world: World, cluster: Doc, include: set[str]) -> Doc:
    arn = cluster["clusterArn"]
    view = shown(cluster)
    tasks = [t["lastStatus"] for t in world.tasks.values() if t["clusterArn"] == arn]
    view["runningTasksCount"] = tasks.count("RUNNING")
    view["pendingTasksCount"] = sum(s in ("PROVISIONING", "PENDING", "ACTIVATING") for s in tasks)
    view["activeServicesCount"] = sum(
        s["clusterArn"] == arn and s["status"] == "ACTIVE" for s in world.services.values()
    )
    active = cluster["status"] == "ACTIVE"
    view["registeredContainerInstancesCount"] = len(instances_of(world, arn)) if active else 0
    if "SETTINGS" not in include:
        view["settings"] = []
    if "TAGS" not in include:
        view["tags"] = []
    if "CONFIGURATIONS" not in include:
        view.pop("configuration", None)
    return view
