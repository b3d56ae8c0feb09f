"""Container instances that are declared, registered again, taken out; what agents ask and say.

The agent of every instance is the engine itself. An agent of somebody else may register and report:
it is answered as ECS answers, and changes nothing of what the engine sees itself.
"""

from __future__ import annotations

import json
from typing import Any

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.eventbus.ecs_events import note_instance
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import check_tags, cluster_arn, merge_tags
from kaiun.engine.operations.daemons import resize_daemons
from kaiun.engine.operations.instances import view, wake_services
from kaiun.engine.operations.machine import (
    INACTIVE,
    ZONE,
    find_instance,
    new_instance,
    platform_attributes,
)
from kaiun.engine.operations.tasks import find_task, stop
from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_USUAL = {"CPU": 4096, "MEMORY": 7680}  # of an instance that does not say what it has
_RESERVED_PORTS = ("22", "2375", "2376", "51678", "51679")  # SSH, Docker, ECS's agent
_ACKNOWLEDGED = {"acknowledgment": "ACK"}


@operation("ecs", "RegisterContainerInstance")
def register_container_instance(world: World, params: Params) -> Params:
    name = params.get("cluster") or "default"
    cluster = cluster_arn(world, name)
    tags = check_tags(params.get("tags", []))
    if "containerInstanceArn" in params:
        instance = _again(world, cluster, params)
    else:
        instance = _declare(world, cluster, params)
    if "versionInfo" in params:
        instance["versionInfo"] = {**instance["versionInfo"], **params["versionInfo"]}
    instance["tags"] = check_tags(merge_tags(instance["tags"], tags))
    _add_attributes(instance, params.get("attributes", ()))
    world.instances[instance["containerInstanceArn"]] = instance
    note_instance(world, instance["containerInstanceArn"])
    resize_daemons(world, cluster)
    wake_services(world, cluster)
    return {"containerInstance": view(world, instance, tags=True)}


def _again(world: World, cluster: str, params: Params) -> Doc:
    """Return an instance that registers anew, as agents do after a restart."""
    instance = find_instance(world, cluster, params["containerInstanceArn"])
    if instance is None:
        raise client_error("Container instance is not found.")
    if instance["status"] == INACTIVE:
        instance["status"] = "ACTIVE"
    instance["version"] += 1
    return instance


def _declare(world: World, cluster: str, params: Params) -> Doc:
    offered = {r.get("name"): r for r in params.get("totalResources", ())}
    identity = _identity(params.get("instanceIdentityDocument", "{}"))
    ports = offered.get("PORTS", {}).get("stringSetValue", _RESERVED_PORTS)
    return new_instance(
        world,
        cluster,
        capacity=(_amount(offered, "CPU"), _amount(offered, "MEMORY")),
        ec2_instance_id=identity.get("instanceId"),
        ports=ports,
        attributes=[
            {
                "name": "ecs.availability-zone",
                "value": identity.get("availabilityZone", world.identity.region + ZONE),
            },
            {"name": "ecs.ami-id", "value": identity.get("imageId", "ami-declared")},
            {"name": "ecs.instance-type", "value": identity.get("instanceType", "declared")},
            *platform_attributes(identity.get("architecture")),
        ],
    )


def _amount(offered: Doc, name: str) -> int:
    """Return the CPU units or MiB that are registered, the usual where none are."""
    resource = offered.get(name, {"integerValue": _USUAL[name]})
    amount: int = resource.get("integerValue") or resource.get("longValue") or 0
    if amount <= 0:
        raise client_error(f"totalResources must have a positive {name}.")
    return amount


def _identity(text: str) -> dict[str, str]:
    """Return the EC2 instance identity document. Its signature cannot be verified here."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise client_error("The instance identity document is not valid JSON.")
    return {name: value for name, value in document.items() if isinstance(value, str)}


def _add_attributes(instance: Doc, attributes: list[Doc]) -> None:
    own = {a["name"]: a for a in instance["attributes"]}
    own |= {a["name"]: {n: a[n] for n in ("name", "value") if n in a} for a in attributes}
    instance["attributes"] = list(own.values())


@operation("ecs", "DeregisterContainerInstance")
def deregister_container_instance(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    instance = _known(world, cluster, params["containerInstance"])
    arn = instance["containerInstanceArn"]
    running = [
        task
        for task in world.tasks.values()
        if task.get("containerInstanceArn") == arn and task["lastStatus"] != "STOPPED"
    ]
    if running and not params.get("force"):
        raise invalid_parameter("Found running tasks on the instance.")
    for task in running:
        stop(world, task, code="TerminationNotice", reason="Container instance deregistered")
    instance |= {"status": INACTIVE, "agentConnected": False}
    instance["version"] += 1
    world.instances.touch(arn)
    note_instance(world, arn)
    resize_daemons(world, cluster)
    wake_services(world, cluster)
    return {"containerInstance": view(world, instance, tags=True)}


def _known(world: World, cluster: str, reference: str) -> Doc:
    instance = find_instance(world, cluster, reference)
    if instance is None or instance["status"] == INACTIVE:
        raise invalid_parameter(f"Referenced container instance {name_of(reference)} not found.")
    return instance


@operation("ecs", "UpdateContainerAgent")
def update_container_agent(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    _known(world, cluster, params["containerInstance"])
    raise ApiError(
        "NoUpdateAvailableException", "There is no update available for your container agent."
    )


@operation("ecs", "DiscoverPollEndpoint")
def discover_poll_endpoint(world: World, params: Params) -> Params:
    del params  # an agent asks before its cluster or its instance need be there
    return {
        "endpoint": world.endpoint,
        "telemetryEndpoint": world.endpoint,
        "serviceConnectEndpoint": world.endpoint,
    }


@operation("ecs", "SubmitTaskStateChange")
def submit_task_state_change(world: World, params: Params) -> Params:
    _check_reported(world, params)
    return _ACKNOWLEDGED


@operation("ecs", "SubmitContainerStateChange")
def submit_container_state_change(world: World, params: Params) -> Params:
    _check_reported(world, params)
    return _ACKNOWLEDGED


@operation("ecs", "SubmitAttachmentStateChanges")
def submit_attachment_state_changes(world: World, params: Params) -> Params:
    cluster_arn(world, params.get("cluster"))
    return _ACKNOWLEDGED


def _check_reported(world: World, params: Params) -> None:
    """Raise where the task that an agent reports on is not one of the cluster's."""
    cluster = cluster_arn(world, params.get("cluster"))
    if "task" in params and find_task(world, cluster, params["task"]) is None:
        raise invalid_parameter("The referenced task was not found.")
