"""ECS services: create, update, delete."""

from __future__ import annotations

import re
from dataclasses import replace

from kaiun.engine import traffic
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations import external, service_config, strategies
from kaiun.engine.operations.common import (
    check_tags,
    cluster_arn,
    find_service,
    service_arn,
)
from kaiun.engine.operations.daemons import daemon_size, resize_daemons
from kaiun.engine.operations.placing import check_placement
from kaiun.engine.operations.roles import check_service_role
from kaiun.engine.operations.rollouts import begin
from kaiun.engine.operations.service_reading import view_of
from kaiun.engine.operations.taskdefs import find_active
from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.views import breaker_of, show_state
from kaiun.engine.world import World
from kaiun.scheduler import transition
from kaiun.scheduler.model import ServiceState

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")


@operation("ecs", "CreateService")
def create_service(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    name = params["serviceName"]
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            "The service name must be 1 to 255 letters, numbers, hyphens and underscores."
        )
    arn = service_arn(world, cluster, name)
    service_config.check(world, params)
    check_placement(params)
    if params.get("deploymentController", {}).get("type") == "EXTERNAL":
        return {"service": _create_external(world, cluster, arn, params)}
    if not params.get("taskDefinition"):
        raise client_error("TaskDefinition can not be blank.")
    definition = find_active(world, params["taskDefinition"])
    request = service_config.with_default_capacity(world, cluster, params)
    service_config.check_capacity(world, cluster, request)
    service_config.check_network(definition, request)
    check_service_role(definition, request, "created")
    if again := _already(world, arn, params):
        return {"service": again}
    tags = check_tags(params.get("tags", []))
    service = _new(world, cluster, arn, request)
    _check_strategy(service, request)
    service["taskDefinition"] = definition["taskDefinitionArn"]
    service |= service_config.launch_members(request)
    service["_"]["request"] = params
    service["tags"] = tags
    if service["schedulingStrategy"] == "DAEMON":
        service["desiredCount"] = daemon_size(world, service)
    world.services[arn] = service
    state = ServiceState(
        name=name,
        desired_count=service["desiredCount"],
        deployments=(),
        grace_period_s=params.get("healthCheckGracePeriodSeconds", 0),
        steady_s=world.steady_s,
    )
    _start(world, service, _configured(state, service))
    return {"service": view_of(world, service, tags=True)}


def _create_external(world: World, cluster: str, arn: str, params: Params) -> Doc:
    external.check_external(params)
    if again := _already(world, arn, params):
        return again
    service = _new(world, cluster, arn, params)
    service["tags"] = check_tags(params.get("tags", []))
    if "taskDefinition" in params:
        definition = find_active(world, params["taskDefinition"])
        service["taskDefinition"] = definition["taskDefinitionArn"]
    world.services[arn] = service
    return view_of(world, service, tags=True)


def _already(world: World, arn: str, params: Params) -> Doc | None:
    old = world.services.get(arn)
    if old is None or old["status"] == "INACTIVE":
        return None
    if old["status"] == "DRAINING":
        raise invalid_parameter("Unable to Start a service that is still Draining.")
    if old["_"]["request"] != params:
        raise invalid_parameter("Creation of service was not idempotent.")
    return view_of(world, old, tags=True)


def _new(world: World, cluster: str, arn: str, params: Params) -> Doc:
    daemon = params.get("schedulingStrategy") == "DAEMON"
    service: Doc = {
        "serviceArn": arn,
        "serviceName": params["serviceName"],
        "clusterArn": cluster,
        "loadBalancers": params.get("loadBalancers", []),
        "serviceRegistries": params.get("serviceRegistries", []),
        "status": "ACTIVE",
        "desiredCount": 0 if daemon else params.get("desiredCount", 0),
        "runningCount": 0,
        "pendingCount": 0,
        "deploymentConfiguration": strategies.filled(
            params.get("deploymentConfiguration", {}), daemon=daemon
        ),
        "deployments": [],
        "events": [],
        "createdAt": world.now(),
        "placementConstraints": params.get("placementConstraints", []),
        "placementStrategy": params.get("placementStrategy", []),
        "schedulingStrategy": params.get("schedulingStrategy", "REPLICA"),
        "deploymentController": params.get("deploymentController", {"type": "ECS"}),
        "createdBy": world.identity.root,
        "enableECSManagedTags": params.get("enableECSManagedTags", False),
        "propagateTags": params.get("propagateTags", "NONE"),
        "enableExecuteCommand": params.get("enableExecuteCommand", False),
        "availabilityZoneRebalancing": params.get(
            "availabilityZoneRebalancing", service_config.rebalancing(params)
        ),
        "currentServiceRevisions": [],
        "_": {
            "request": params,
            "deployments": {},  # deployment id → members the scheduler knows nothing of
            "revisions": {},  # deployment id → ARN of its service revision
            "open": [],  # ARNs of service deployments that have not ended
            "last": params,  # what the next deployment is made of
        },
    }
    for name in ("healthCheckGracePeriodSeconds", "networkConfiguration"):
        if name in params:
            service[name] = params[name]
    if "role" in params:
        service["roleArn"] = params["role"]
    return service


def _configured(state: ServiceState, service: Doc) -> ServiceState:
    configuration = service["deploymentConfiguration"]
    return replace(
        state,
        minimum_healthy_percent=configuration["minimumHealthyPercent"],
        maximum_percent=configuration["maximumPercent"],
        breaker=breaker_of(configuration),
    )


def _start(world: World, service: Doc, state: ServiceState) -> None:
    arn = service["serviceArn"]
    deployment = begin(world, service, state)
    state = transition.deploy(state, deployment, world.now())
    world.put_state(arn, state)
    traffic.shift(world, service, state)
    show_state(world, arn)
    world.wake_service(arn)


@operation("ecs", "UpdateService")
def update_service(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    service = find_service(world, cluster, params["service"])
    if service["status"] != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    if external.is_external(service):
        external.update(world, service, params)
        return {"service": view_of(world, service, tags=False)}
    service_config.check(world, params)
    service_config.check_controller(service, params)
    if service["schedulingStrategy"] == "DAEMON":
        service_config.check_daemon(params)
    service_config.check_capacity(world, cluster, params)
    check_placement(params)
    request = {k: v for k, v in params.items() if k not in ("cluster", "service")}
    if "taskDefinition" in request:
        definition = find_active(world, request["taskDefinition"])
        service_config.check_network(definition, {**service["_"]["last"], **request})
        request["taskDefinition"] = definition["taskDefinitionArn"]
    _check_role(world, service, request)
    _check_strategy(service, request)
    _apply(world, service, request)
    resize_daemons(world, cluster)
    return {"service": view_of(world, service, tags=False)}


def _check_role(world: World, service: Doc, request: Params) -> None:
    """Raise where the service, once updated, would have ECS Exec and no task role."""
    if "taskDefinition" in request or "enableExecuteCommand" in request:
        after = {**service, **request}
        definition = world.task_definitions[after["taskDefinition"]]
        check_service_role(definition, after, "updated")


def _configuration_after(service: Doc, request: Params) -> Doc:
    return strategies.filled(
        request.get("deploymentConfiguration", {}),
        daemon=service["schedulingStrategy"] == "DAEMON",
        before=service["deploymentConfiguration"],
    )


def _check_strategy(service: Doc, request: Params) -> None:
    """Raise where the service, once updated, could not be deployed by its strategy."""
    strategies.check_strategy(
        _configuration_after(service, request),
        {**service["_"]["last"], **request},
        daemon=service["schedulingStrategy"] == "DAEMON",
    )


_DEPLOYING = (
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
)
_PLAIN = (
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
    "placementConstraints",
    "placementStrategy",
    "availabilityZoneRebalancing",
)


def _apply(world: World, service: Doc, request: Params) -> None:
    arn = service["serviceArn"]
    last = service["_"]["last"]
    deploys = bool(request.get("forceNewDeployment"))
    deploys |= request.get("taskDefinition", service["taskDefinition"]) != service["taskDefinition"]
    deploys |= any(n in request and request[n] != last.get(n) for n in _DEPLOYING)
    for name in (*_PLAIN, "loadBalancers", "serviceRegistries", "networkConfiguration"):
        if name in request:
            service[name] = request[name]
    if "deploymentConfiguration" in request:
        service["deploymentConfiguration"] = _configuration_after(service, request)
    kept = {
        n: v for n, v in request.items() if n in (*_DEPLOYING, *_PLAIN, "capacityProviderStrategy")
    }
    service["_"]["last"] = {**last, **kept}
    if "capacityProviderStrategy" in request or "platformVersion" in request:
        _show_launch(service)
    state = _configured(world.state(arn), service)
    state = replace(state, grace_period_s=service.get("healthCheckGracePeriodSeconds", 0))
    if "desiredCount" in request and service["schedulingStrategy"] != "DAEMON":
        service["desiredCount"] = request["desiredCount"]
        state = transition.scale(state, request["desiredCount"])
    if deploys:
        service["taskDefinition"] = request.get("taskDefinition", service["taskDefinition"])
        _start(world, service, state)
        return
    world.put_state(arn, state)
    show_state(world, arn)
    world.wake_service(arn)


def _show_launch(service: Doc) -> None:
    """Show where the service's next deployment runs, and nothing of where it ran before."""
    for name in ("launchType", "capacityProviderStrategy", "platformVersion", "platformFamily"):
        service.pop(name, None)
    service |= service_config.launch_members(service["_"]["last"])


@operation("ecs", "DeleteService")
def delete_service(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    service = find_service(world, cluster, params["service"])
    if service["status"] == "INACTIVE":
        raise ApiError("ServiceNotFoundException", "Service not found.")
    if external.is_external(service):
        external.delete(world, service, force=params.get("force", False))
        return {"service": view_of(world, service, tags=False)}
    replica = service["schedulingStrategy"] == "REPLICA"
    if replica and service["desiredCount"] > 0 and not params.get("force"):
        raise invalid_parameter("The service cannot be stopped while it is scaled above 0.")
    arn = service["serviceArn"]
    world.put_state(arn, transition.drain(world.state(arn)))
    show_state(world, arn)
    world.wake_service(arn)
    return {"service": view_of(world, service, tags=False)}
