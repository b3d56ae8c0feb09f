"""ECS tasks: RunTask, StartTask, StopTask, describe, list."""

from __future__ import annotations

from dataclasses import replace

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.eventbus.ecs_events import tell_task
from kaiun.engine.identity import name_of
from kaiun.engine.operations import service_config, task_size
from kaiun.engine.operations.common import (
    check_tags,
    cluster_arn,
    managed_tags,
    merge_tags,
    missing,
    paged,
    shown,
)
from kaiun.engine.operations.container_checks import check_environment
from kaiun.engine.operations.machine import INACTIVE, find_instance, instances_of
from kaiun.engine.operations.making import Order
from kaiun.engine.operations.placing import check_placement, launch
from kaiun.engine.operations.roles import check_task_role
from kaiun.engine.operations.taskdefs import find_active
from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World


@operation("ecs", "RunTask")
def run_task(world: World, params: Params) -> Params:
    count = params.get("count", 1)
    if not 1 <= count <= 10:
        raise invalid_parameter("count should be between 1 and 10.")
    order = _order(world, params)
    if previous := _repeated(world, params):
        return {"tasks": [shown(t) for t in previous], "failures": []}
    tasks, failures = launch(world, order, count)
    for task in tasks:
        if "clientToken" in params:
            task["_"]["token"] = params["clientToken"]
            task["_"]["request"] = params
    return {"tasks": [shown(t) for t in tasks], "failures": failures}


@operation("ecs", "StartTask")
def start_task(world: World, params: Params) -> Params:
    tasks: list[Doc] = []
    failures: list[Doc] = []
    references = params["containerInstances"]
    if not 1 <= len(references) <= 10:
        raise invalid_parameter("Container instances should have between 1 and 10 entries.")
    order = _order(world, {**params, "launchType": "EC2"})
    for reference in references:
        instance = find_instance(world, order.cluster, reference)
        if instance is None or instance["status"] == INACTIVE:
            failures.append(missing(reference))
            continue
        pinned = replace(order, instance=instance["containerInstanceArn"])
        made, failed = launch(world, pinned, 1)
        tasks, failures = [*tasks, *made], [*failures, *failed]
    return {"tasks": [shown(t) for t in tasks], "failures": failures}


def _order(world: World, params: Params) -> Order:
    cluster = cluster_arn(world, params.get("cluster"))
    definition = find_active(world, params["taskDefinition"])
    params = service_config.with_default_capacity(world, cluster, params)
    service_config.check_capacity(world, cluster, params)
    service_config.check_network(definition, params)
    overrides = _sized(params.get("overrides", {}))
    _check_overrides(definition, overrides)
    check_placement(params)
    check_task_role(definition, params)
    members = service_config.launch_members(params)
    if not service_config.on_fargate(params) and not instances_of(world, cluster):
        raise invalid_parameter("No Container Instances were found in your cluster.")
    tags = check_tags(params.get("tags", []))
    if params.get("propagateTags") == "SERVICE":
        raise invalid_parameter("propagateTags cannot be SERVICE where a task is run by itself.")
    if params.get("propagateTags") == "TASK_DEFINITION":
        tags = merge_tags(definition["_"]["tags"], tags)
    if params.get("enableECSManagedTags"):
        tags = merge_tags(tags, managed_tags(cluster))
    return Order(
        cluster=cluster,
        definition=definition,
        group=params.get("group") or f"family:{definition['family']}",
        launch_type=members.get("launchType", "EC2"),
        started_by=params.get("startedBy"),
        overrides=overrides,
        network=params.get("networkConfiguration", {}).get("awsvpcConfiguration"),
        tags=tags,
        execute_command=params.get("enableExecuteCommand", False),
        providers=members.get("capacityProviderStrategy", ()),
        constraints=params.get("placementConstraints", ()),
        strategies=params.get("placementStrategy", ()),
    )


def _sized(overrides: Doc) -> Doc:
    """Return the overrides with the task's size as ECS keeps it: "1 vCPU" → "1024"."""
    sizes = {}
    if "cpu" in overrides:
        sizes["cpu"] = task_size.cpu_units(overrides["cpu"])
    if "memory" in overrides:
        sizes["memory"] = task_size.memory_mib(overrides["memory"])
    return {**overrides, **sizes}


def _check_overrides(definition: Doc, overrides: Doc) -> None:
    names = {c["name"] for c in definition["containerDefinitions"]}
    for override in overrides.get("containerOverrides", ()):
        if override.get("name") not in names:
            raise invalid_parameter(
                f"Override for container named {override.get('name')} is not a container in the "
                "TaskDefinition."
            )
        check_environment(override)


def _repeated(world: World, params: Params) -> list[Doc]:
    """Return the tasks of an earlier request with this token. Raises ConflictException."""
    token = params.get("clientToken")
    if not token:
        return []
    found = [t for t in world.tasks.values() if t["_"].get("token") == token]
    if any(t["_"]["request"] != params for t in found):
        raise ApiError(
            "ConflictException",
            "The client token was used for another request.",
            resourceIds=[t["taskArn"] for t in found],
        )
    return found


@operation("ecs", "StopTask")
def stop_task(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    task = find_task(world, cluster, params["task"])
    if task is None:
        raise invalid_parameter("The referenced task was not found.")
    stop(
        world,
        task,
        code="UserInitiated",
        reason=params.get("reason", "Task stopped by user"),
    )
    return {"task": shown(task)}


def stop(world: World, task: Doc, *, code: str, reason: str) -> None:
    """Ask a task to stop; the first reason stays."""
    if task["desiredStatus"] == "STOPPED":
        return
    task["desiredStatus"] = "STOPPED"
    task["stopCode"] = code
    task["stoppedReason"] = reason
    task["stoppingAt"] = world.now()
    touch(world, task)
    world.wake_task(task["_"]["id"])


def touch(world: World, task: Doc) -> None:
    """Mark a task as changed; its version counts up, as ECS has it."""
    task["version"] += 1
    world.tasks.touch(task["_"]["id"])
    tell_task(world, task)


def find_task(world: World, cluster: str, reference: str) -> Doc | None:
    """Return a task of a cluster by id or ARN."""
    task = world.tasks.get(name_of(reference))
    if task is None or task["clusterArn"] != cluster:
        return None
    if reference.startswith("arn:") and reference != task["taskArn"]:
        return None
    return task


@operation("ecs", "DescribeTasks")
def describe_tasks(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    if not params["tasks"]:
        raise invalid_parameter("Tasks cannot be empty.")
    if len(params["tasks"]) > 100:
        raise invalid_parameter("Tasks cannot have more than 100 entries.")
    tags = "TAGS" in params.get("include", ())
    tasks, failures = [], []
    for reference in params["tasks"]:
        task = find_task(world, cluster, reference)
        if task is None:
            full = world.arn(f"task/{name_of(cluster)}/{name_of(reference)}")
            failures.append(missing(reference if reference.startswith("arn:") else full))
        else:
            view = shown(task)
            tasks.append(view if tags else {**view, "tags": []})
    return {"tasks": tasks, "failures": failures}


@operation("ecs", "ListTasks")
def list_tasks(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    service = params.get("serviceName")
    if service and params.get("startedBy"):
        raise invalid_parameter("startedBy and serviceName cannot be given together.")
    if (
        service
        and world.arn(f"service/{name_of(cluster)}/{name_of(service)}") not in world.services
    ):
        raise ApiError("ServiceNotFoundException", "Service not found.")
    if params.get("family") and params.get("startedBy"):
        raise client_error("Only one of family and startedBy can be given.")
    arns = [t["taskArn"] for t in world.tasks.values() if _matches(t, cluster, params)]
    return paged("taskArns", arns, params)


def _matches(task: Doc, cluster: str, params: Params) -> bool:
    service, instance = params.get("serviceName"), params.get("containerInstance")
    family = task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0]
    return (
        task["clusterArn"] == cluster
        and task["desiredStatus"] == params.get("desiredStatus", "RUNNING")
        and params.get("family") in (None, family)
        and params.get("startedBy") in (None, task.get("startedBy"))
        and params.get("launchType") in (None, task["launchType"])
        and (not service or task["group"] == f"service:{name_of(service)}")
        and (
            not instance or name_of(instance) == name_of(task.get("containerInstanceArn", "-/none"))
        )
    )
