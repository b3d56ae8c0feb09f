"""The container instance that this machine is, in every cluster, and attributes."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import cluster_arn, missing, name_of, paged, shown
from kaiun.engine.operations.machine import instance_of, resources
from kaiun.engine.operations.placing import host_ports_in_use
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World


@operation("ecs", "ListContainerInstances")
def list_container_instances(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    if params.get("filter"):
        raise invalid_parameter("Filters are not supported by this local ECS.")
    fits = params.get("status", "ACTIVE" if instance["status"] == "ACTIVE" else "DRAINING")
    arns = [instance["containerInstanceArn"]] if fits == instance["status"] else []
    return paged("containerInstanceArns", arns, params)


@operation("ecs", "DescribeContainerInstances")
def describe_container_instances(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    found, failures = [], []
    for reference in params["containerInstances"]:
        if name_of(reference) == name_of(instance["containerInstanceArn"]):
            found.append(_view(world, instance, tags="TAGS" in params.get("include", ())))
        else:
            failures.append(missing(reference))
    return {"containerInstances": found, "failures": failures}


def _view(world: World, instance: Doc, *, tags: bool) -> Doc:
    arn, own = instance["containerInstanceArn"], instance["_"]
    statuses = [
        t["lastStatus"] for t in world.tasks.values() if t.get("containerInstanceArn") == arn
    ]
    used = own.get("used", [0, 0])
    view = shown(instance)
    view["remainingResources"] = resources(
        own["cpu"] - used[0], own["memory"] - used[1], sorted(host_ports_in_use(world))
    )
    view["runningTasksCount"] = statuses.count("RUNNING")
    view["pendingTasksCount"] = sum(
        s in ("PROVISIONING", "PENDING", "ACTIVATING") for s in statuses
    )
    if not tags:
        view["tags"] = []
    return view


@operation("ecs", "UpdateContainerInstancesState")
def update_container_instances_state(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    if params["status"] not in ("ACTIVE", "DRAINING"):
        raise invalid_parameter("Container instance status must be ACTIVE or DRAINING.")
    found, failures = [], []
    for reference in params["containerInstances"]:
        if name_of(reference) != name_of(instance["containerInstanceArn"]):
            failures.append(missing(reference))
            continue
        instance["status"] = params["status"]
        instance["version"] += 1
        world.instances.touch(instance["containerInstanceArn"])
        found.append(_view(world, instance, tags=False))
    for service in world.services.values():
        if service["clusterArn"] == cluster:
            world.wake_service(service["serviceArn"])
    return {"containerInstances": found, "failures": failures}


@operation("ecs", "PutAttributes")
def put_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    for attribute in params["attributes"]:
        if name_of(attribute.get("targetId", "")) != name_of(instance["containerInstanceArn"]):
            raise ApiError("TargetNotFoundException", "The specified target was not found.")
    kept = {a["name"]: a for a in instance["attributes"]}
    for attribute in params["attributes"]:
        names = ("name", "value")
        kept[attribute["name"]] = {n: attribute[n] for n in names if n in attribute}
    instance["attributes"] = list(kept.values())
    world.instances.touch(instance["containerInstanceArn"])
    return {"attributes": params["attributes"]}


@operation("ecs", "DeleteAttributes")
def delete_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    names = {a["name"] for a in params["attributes"]}
    instance["attributes"] = [a for a in instance["attributes"] if a["name"] not in names]
    world.instances.touch(instance["containerInstanceArn"])
    return {"attributes": params["attributes"]}


@operation("ecs", "ListAttributes")
def list_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = instance_of(world, cluster)
    name, value = params.get("attributeName"), params.get("attributeValue")
    found = [
        {**a, "targetId": instance["containerInstanceArn"]}
        for a in instance["attributes"]
        if name in (None, a["name"]) and value in (None, a.get("value"))
    ]
    return paged("attributes", found, params)


@operation("ecs", "DescribeCapacityProviders")
def describe_capacity_providers(world: World, params: Params) -> Params:
    names = params.get("capacityProviders") or ["FARGATE", "FARGATE_SPOT"]
    found, failures = [], []
    for name in names:
        arn = world.arn(f"capacity-provider/{name_of(name)}")
        if name_of(name) in ("FARGATE", "FARGATE_SPOT"):
            found.append(
                {
                    "capacityProviderArn": arn,
                    "name": name_of(name),
                    "status": "ACTIVE",
                    "tags": [],
                }
            )
        else:
            failures.append(missing(arn))
    return {"capacityProviders": found, "failures": failures}
