"""Container instances of a cluster: listed, described, drained, and their attributes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.eventbus.ecs_events import note_instance, tell_instance
from kaiun.engine.operations.common import cluster_arn, missing, page, paged, shown
from kaiun.engine.operations.daemons import resize_daemons
from kaiun.engine.operations.machine import (
    INACTIVE,
    attribute_of,
    find_instance,
    instances_of,
    resources,
)
from kaiun.engine.operations.placing import groups_on, host_ports_in_use
from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.placement import TASK_GROUP
from kaiun.scheduler.query import matches

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_MAX_ATTRIBUTES = 10


@operation("ecs", "ListContainerInstances")
def list_container_instances(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    status = params.get("status")
    instances = [i for i in instances_of(world, cluster) if status in (None, i["status"])]
    if expression := params.get("filter"):
        instances = _filtered(world, instances, expression)
    return paged("containerInstanceArns", [i["containerInstanceArn"] for i in instances], params)


def _filtered(world: World, instances: Iterable[Doc], expression: str) -> list[Doc]:
    try:
        return [i for i in instances if matches(expression, partial(_value, world, i))]
    except ValueError as problem:
        raise invalid_parameter(f"Invalid filter: {problem}") from None


def _value(world: World, instance: Doc, name: str) -> str | frozenset[str] | None:
    """Return what a subject of the cluster query language is for an instance."""
    if name == TASK_GROUP:
        return groups_on(world, instance["containerInstanceArn"])
    if name.startswith("attribute:"):
        return attribute_of(instance, name.removeprefix("attribute:"))
    if name == "agentVersion":
        version: str | None = instance["versionInfo"].get("agentVersion")
        return version
    value = instance.get(name)
    return str(value).lower() if isinstance(value, bool | int) else value


@operation("ecs", "DescribeContainerInstances")
def describe_container_instances(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    references = _checked(params["containerInstances"], 100)
    tags = "TAGS" in params.get("include", ())
    found, failures = _found(world, cluster, references)
    return {
        "containerInstances": [view(world, instance, tags=tags) for instance in found],
        "failures": failures,
    }


def _checked(references: list[str], limit: int) -> list[str]:
    if not references:
        raise client_error("Container Instances cannot be empty.")
    if len(references) > limit:
        raise invalid_parameter(f"Container instances cannot have more than {limit} entries.")
    return references


def _found(world: World, cluster: str, references: list[str]) -> tuple[list[Doc], list[Doc]]:
    """Return the instances, and a failure for each that there is not."""
    found, failures = [], []
    for reference in references:
        if (instance := find_instance(world, cluster, reference)) is not None:
            found.append(instance)
        else:
            failures.append(missing(reference))
    return found, failures


def view(world: World, instance: Doc, *, tags: bool) -> Doc:
    """Return an instance as the API shows it, with what is left of it."""
    arn, own = instance["containerInstanceArn"], instance["_"]
    statuses = [
        t["lastStatus"] for t in world.tasks.values() if t.get("containerInstanceArn") == arn
    ]
    used = own.get("used", [0, 0])
    seen = shown(instance)
    seen["remainingResources"] = resources(
        own["cpu"] - used[0],
        own["memory"] - used[1],
        [*own.get("ports", ()), *sorted(host_ports_in_use(world, instance))],
    )
    seen["runningTasksCount"] = statuses.count("RUNNING")
    seen["pendingTasksCount"] = sum(status in _PENDING for status in statuses)
    if not tags:
        seen["tags"] = []
    return seen


def tell_instances(world: World) -> None:
    """Send the events of the instances that have changed since the last call."""
    changed, world.changed_instances = world.changed_instances, {}
    for arn in changed:
        if (instance := world.instances.get(arn)) is not None:
            tell_instance(world, instance["_"]["cluster"], view(world, instance, tags=False))


@operation("ecs", "UpdateContainerInstancesState")
def update_container_instances_state(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    references = _checked(params["containerInstances"], 10)
    if params["status"] not in ("ACTIVE", "DRAINING"):
        raise invalid_parameter("Container instance status must be ACTIVE or DRAINING.")
    found, failures = _found(world, cluster, references)
    changed = []
    for instance in found:
        if instance["status"] == INACTIVE:
            failures.append({"arn": instance["containerInstanceArn"], "reason": INACTIVE})
            continue
        instance["status"] = params["status"]
        instance["version"] += 1
        world.instances.touch(instance["containerInstanceArn"])
        note_instance(world, instance["containerInstanceArn"])
        changed.append(view(world, instance, tags=False))
    resize_daemons(world, cluster)
    wake_services(world, cluster)
    return {"containerInstances": changed, "failures": failures}


def wake_services(world: World, cluster: str) -> None:
    """Have every service of a cluster looked at: its instances have changed."""
    for service in world.services.values():
        if service["clusterArn"] == cluster and service["status"] != "INACTIVE":
            world.wake_service(service["serviceArn"])
    for task_set in world.task_sets.values():
        if task_set["clusterArn"] == cluster:
            world.wake_service(task_set["taskSetArn"])


@operation("ecs", "PutAttributes")
def put_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    given = _attributes(params)
    for target, own in _by_target(world, cluster, given):
        kept = {a["name"]: a for a in target["attributes"]}
        kept |= {a["name"]: {n: a[n] for n in ("name", "value") if n in a} for a in own}
        target["attributes"] = list(kept.values())
        world.instances.touch(target["containerInstanceArn"])
    resize_daemons(world, cluster)
    return {"attributes": given}


@operation("ecs", "DeleteAttributes")
def delete_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    given = _attributes(params)
    for target, own in _by_target(world, cluster, given):
        names = {(a["name"], a.get("value")) for a in own}
        target["attributes"] = [
            a
            for a in target["attributes"]
            if not names & {(a["name"], None), (a["name"], a.get("value"))}
        ]
        world.instances.touch(target["containerInstanceArn"])
    resize_daemons(world, cluster)
    return {"attributes": given}


def _attributes(params: Params) -> list[Doc]:
    given: list[Doc] = params["attributes"]
    if not given:
        raise invalid_parameter("Attributes cannot be empty.")
    if len(given) > _MAX_ATTRIBUTES:
        raise invalid_parameter(f"Attributes cannot have more than {_MAX_ATTRIBUTES} entries.")
    return given


def _by_target(world: World, cluster: str, given: list[Doc]) -> list[tuple[Doc, list[Doc]]]:
    """Return each instance with its attributes. Raises TargetNotFoundException."""
    targets: dict[str, tuple[Doc, list[Doc]]] = {}
    for attribute in given:
        target = find_instance(world, cluster, attribute.get("targetId", ""))
        if target is None:
            raise ApiError("TargetNotFoundException", "The specified target was not found.")
        targets.setdefault(target["containerInstanceArn"], (target, []))[1].append(attribute)
    return list(targets.values())


@operation("ecs", "ListAttributes")
def list_attributes(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    name, value = params.get("attributeName"), params.get("attributeValue")
    if value is not None and name is None:
        raise invalid_parameter("attributeName must be given where attributeValue is.")
    found = [
        {**a, "targetType": "container-instance", "targetId": instance["containerInstanceArn"]}
        for instance in instances_of(world, cluster)
        for a in instance["attributes"]
        if name in (None, a["name"]) and value in (None, a.get("value"))
    ]
    part, following = page(found, params, limit=100)
    return {"attributes": part, **({"nextToken": following} if following else {})}
