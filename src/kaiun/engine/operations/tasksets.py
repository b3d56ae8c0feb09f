"""Task sets: what a deployment controller of somebody else (EXTERNAL) makes services of."""

from __future__ import annotations

import secrets
import string
from typing import Any

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations import service_config
from kaiun.engine.operations.common import (
    check_tags,
    cluster_arn,
    find_service,
    missing,
    shown,
)
from kaiun.engine.operations.taskdefs import find_active
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.tasksets import computed_count, sets_of, show_task_set
from kaiun.engine.world import World
from kaiun.scheduler import transition
from kaiun.scheduler.model import Deployment, ServiceState

_MOST = 5
_WHOLE: Doc = {"value": 100.0, "unit": "PERCENT"}
_HANDED_OVER = (
    "taskDefinition", "launchType", "capacityProviderStrategy", "platformVersion",
    "platformFamily", "networkConfiguration", "loadBalancers", "serviceRegistries",
)  # fmt: skip


@operation("ecs", "CreateTaskSet")
def create_task_set(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    service = _active(world, cluster, params)
    definition = find_active(world, params["taskDefinition"])
    request = service_config.with_default_capacity(world, cluster, params)
    service_config.check_capacity(world, cluster, request)
    service_config.check_balancers(world, request)
    service_config.check_network(definition, request)
    tags = check_tags(params.get("tags", []))
    scale = _scale(params.get("scale", {}))
    sets = sets_of(world, service["serviceArn"])
    token = params.get("clientToken")
    if again := [s for s in sets if token and s["_"]["token"] == token]:
        return {"taskSet": shown(again[0])}
    if len(sets) >= _MOST:
        raise ApiError("LimitExceededException", "A service can have at most 5 task sets.")
    task_set = _new(world, service, definition, request)
    task_set |= {"tags": tags, "scale": scale}
    world.task_sets[task_set["taskSetArn"]] = task_set
    _begin(world, service, task_set)
    return {"taskSet": shown(task_set)}


def _active(world: World, cluster: str, params: Params) -> Doc:
    """Return the service that is named. Raises where it is none with task sets."""
    service = find_service(world, cluster, params["service"])
    if service["deploymentController"]["type"] != "EXTERNAL":
        raise invalid_parameter(
            "The service's deployment controller is not EXTERNAL: it has no task sets to manage."
        )
    if service["status"] != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    return service


def _scale(given: Doc) -> Doc:
    scale = {**_WHOLE, **given}
    if not 0 <= scale["value"] <= 100:
        raise invalid_parameter("The scale of a task set must be between 0 and 100 percent.")
    return scale


def _new(world: World, service: Doc, definition: Doc, request: Params) -> Doc:
    number = "".join(secrets.choice(string.digits[1:]) for _ in range(19))
    path = service["serviceArn"].partition(":service/")[2]
    now = world.now()
    task_set: dict[str, Any] = {
        "id": f"ecs-svc/{number}",
        "taskSetArn": world.arn(f"task-set/{path}/ecs-svc/{number}"),
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "status": "ACTIVE",
        "taskDefinition": definition["taskDefinitionArn"],
        "computedDesiredCount": 0,
        "pendingCount": 0,
        "runningCount": 0,
        "createdAt": now,
        "updatedAt": now,
        "loadBalancers": request.get("loadBalancers", []),
        "serviceRegistries": request.get("serviceRegistries", []),
        "stabilityStatus": "STABILIZING",
        "stabilityStatusAt": now,
        "_": {"token": request.get("clientToken")},
        **service_config.launch_members(request),
    }
    for name in ("externalId", "networkConfiguration"):
        if name in request:
            task_set[name] = request[name]
    return task_set


def _begin(world: World, service: Doc, task_set: Doc) -> None:
    arn, definition = task_set["taskSetArn"], world.task_definitions[task_set["taskDefinition"]]
    task_set["computedDesiredCount"] = computed_count(service, task_set["scale"])
    state = ServiceState(
        name=f"{service['serviceName']}, taskSet {task_set['id']}",
        desired_count=task_set["computedDesiredCount"],
        deployments=(),
        grace_period_s=service.get("healthCheckGracePeriodSeconds", 0),
        steady_s=world.steady_s,
    )
    deployment = Deployment(
        id=task_set["id"],
        task_definition=task_set["taskDefinition"],
        has_load_balancer=bool(task_set["loadBalancers"]),
        has_health_check=service_config.has_health_check(definition),
    )
    world.put_state(arn, transition.deploy(state, deployment, world.now()))
    show_task_set(world, task_set)
    world.wake_service(arn)


@operation("ecs", "UpdateTaskSet")
def update_task_set(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    service = _active(world, cluster, params)
    task_set = _find(world, service, params["taskSet"])
    if task_set["status"] == "DRAINING":
        raise invalid_parameter("The task set is DRAINING.")
    task_set |= {"scale": _scale(params["scale"]), "updatedAt": world.now()}
    rescale(world, service, task_set)
    return {"taskSet": shown(task_set)}


def rescale(world: World, service: Doc, task_set: Doc) -> None:
    """Have a task set follow its scale and the desired count of its service."""
    count = computed_count(service, task_set["scale"])
    task_set["computedDesiredCount"] = count
    arn = task_set["taskSetArn"]
    world.put_state(arn, transition.scale(world.state(arn), count))
    world.services.touch(service["serviceArn"])
    world.wake_service(arn)


def _find(world: World, service: Doc, reference: str) -> Doc:
    """Return a task set by id or ARN. Raises TaskSetNotFoundException."""
    for task_set in sets_of(world, service["serviceArn"]):
        if reference in (task_set["id"], task_set["taskSetArn"], name_of(task_set["id"])):
            return task_set
    raise ApiError("TaskSetNotFoundException", "The specified task set was not found.")


@operation("ecs", "DeleteTaskSet")
def delete_task_set(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    service = _active(world, cluster, params)
    task_set = _find(world, service, params["taskSet"])
    if task_set["computedDesiredCount"] > 0 and not params.get("force"):
        raise invalid_parameter("The task set cannot be deleted while it is scaled above 0.")
    drain(world, task_set)
    return {"taskSet": shown(task_set)}


def drain(world: World, task_set: Doc) -> None:
    """Have a task set's tasks stopped; it is gone when they are."""
    arn = task_set["taskSetArn"]
    task_set |= {"status": "DRAINING", "computedDesiredCount": 0, "updatedAt": world.now()}
    world.put_state(arn, transition.drain(world.state(arn)))
    world.services.touch(task_set["serviceArn"])
    world.wake_service(arn)


@operation("ecs", "UpdateServicePrimaryTaskSet")
def update_service_primary_task_set(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    service = _active(world, cluster, params)
    primary = _find(world, service, params["primaryTaskSet"])
    if primary["status"] == "DRAINING":
        raise invalid_parameter("A task set that is DRAINING cannot become PRIMARY.")
    for task_set in sets_of(world, service["serviceArn"]):
        if task_set["status"] == "PRIMARY":
            task_set |= {"status": "ACTIVE", "updatedAt": world.now()}
            world.task_sets.touch(task_set["taskSetArn"])
    primary |= {"status": "PRIMARY", "updatedAt": world.now()}
    world.task_sets.touch(primary["taskSetArn"])
    for name in _HANDED_OVER:
        service.pop(name, None)
        if name in primary:
            service[name] = primary[name]
    world.services.touch(service["serviceArn"])
    return {"taskSet": shown(primary)}


@operation("ecs", "DescribeTaskSets")
def describe_task_sets(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    service = _active(world, cluster, params)
    tags = "TAGS" in params.get("include", ())
    found, failures = [], []
    references = params.get("taskSets") or [s["id"] for s in sets_of(world, service["serviceArn"])]
    for reference in references:
        try:
            task_set = _find(world, service, reference)
        except ApiError:
            failures.append(missing(reference))
            continue
        found.append(shown(task_set) if tags else {**shown(task_set), "tags": []})
    return {"taskSets": found, "failures": failures}
