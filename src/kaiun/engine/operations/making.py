"""What a task is made of, and its document."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kaiun.engine import taskrole
from kaiun.engine.eventbus.ecs_events import note_instance, tell_task
from kaiun.engine.operations.common import new_id
from kaiun.engine.operations.machine import ZONE, cpu_architecture, zone_of
from kaiun.engine.store import Doc
from kaiun.engine.taskvars import new_number
from kaiun.engine.world import World
from kaiun.scheduler.placement import Needs

AGENT = {"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}


@dataclass(frozen=True, slots=True)
class Order:
    """What tasks are to be made of."""

    cluster: str
    definition: Doc
    group: str
    launch_type: str = "EC2"
    started_by: str | None = None
    service: str | None = None  # ARN
    deployment: str | None = None
    overrides: Doc = field(default_factory=dict)
    network: Doc | None = None  # awsvpcConfiguration
    tags: Sequence[Doc] = ()
    execute_command: bool = False
    capacity_provider: str | None = None  # of the one task that is made
    providers: Sequence[Doc] = ()  # capacityProviderStrategy that all tasks are spread by
    daemon: bool = False  # at most one on each instance
    instance: str | None = None  # ARN of the only instance that it may be put on
    aliases: Sequence[str] = ()
    registries: Sequence[Doc] = ()  # serviceRegistries
    constraints: Sequence[Doc] = ()
    strategies: Sequence[Doc] = ()
    load_balancers: Sequence[Doc] = ()


def release(world: World, task: Doc) -> None:
    """Give back what a stopped task had reserved."""
    instance = world.instances.get(task.get("containerInstanceArn", ""))
    if instance is not None:
        used = instance["_"].setdefault("used", [0, 0])
        used[0] = max(0, used[0] - task["_"]["needs"][0])
        used[1] = max(0, used[1] - task["_"]["needs"][1])
        world.instances.touch(instance["containerInstanceArn"])
        note_instance(world, instance["containerInstanceArn"])


def make(world: World, order: Order, needs: Needs, instance: Doc | None) -> Doc:
    """Return a new task, on a container instance or, where that is None, on Fargate."""
    task_id = new_id()
    cluster_name = order.cluster.rpartition("/")[2]
    arn = world.arn(f"task/{cluster_name}/{task_id}")
    awsvpc = order.definition.get("networkMode") == "awsvpc"
    eni = f"eni-{new_id()[:17]}"
    attachment = new_id()
    overrides: Doc = {"inferenceAcceleratorOverrides": [], **order.overrides}
    given = {o.get("name"): o for o in order.overrides.get("containerOverrides", ())}
    overrides["containerOverrides"] = [
        given.get(c["name"], {"name": c["name"]}) for c in order.definition["containerDefinitions"]
    ]
    role = order.overrides.get("taskRoleArn") or order.definition.get("taskRoleArn")
    credentials = str(uuid.uuid4()) if role else None
    task: Doc = {
        "attachments": [_attachment(attachment, eni, order.network or {})] if awsvpc else [],
        "attributes": [cpu_architecture()],
        "availabilityZone": zone_of(instance) if instance else world.identity.region + ZONE,
        "clusterArn": order.cluster,
        "connectivity": "CONNECTED",
        "connectivityAt": world.now(),
        "containers": [
            _container(world, c, arn, cluster_name, order.execute_command)
            for c in order.definition["containerDefinitions"]
        ],
        "cpu": str(needs.cpu),
        "createdAt": world.now(),
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": order.execute_command,
        "group": order.group,
        "healthStatus": "UNKNOWN",
        "lastStatus": "PROVISIONING",
        "launchType": order.launch_type,
        "memory": str(needs.memory_mib),
        "overrides": overrides,
        "tags": list(order.tags),
        "taskArn": arn,
        "taskDefinitionArn": order.definition["taskDefinitionArn"],
        "version": 1,
        "_": _own(order, needs, task_id, attachment if awsvpc else None),
    }
    if credentials:
        task["_"]["credentials"] = credentials
        taskrole.grant(world, task_id, role, credentials)
    if instance is not None:
        task["containerInstanceArn"] = instance["containerInstanceArn"]
        used = instance["_"].setdefault("used", [0, 0])
        used[0] += needs.cpu
        used[1] += needs.memory_mib
        world.instances.touch(instance["containerInstanceArn"])
        note_instance(world, instance["containerInstanceArn"])
    else:
        task |= {"platformVersion": "1.4.0", "platformFamily": "Linux"}
    if order.started_by:
        task["startedBy"] = order.started_by
    if order.capacity_provider:
        task["capacityProviderName"] = order.capacity_provider
    world.add_task(task)
    tell_task(world, task)
    return task


def _own(order: Order, needs: Needs, task_id: str, attachment: str | None) -> dict[str, Any]:
    return {
        "id": task_id,
        "service": order.service,
        "deployment": order.deployment,
        "needs": [needs.cpu, needs.memory_mib],
        "host_ports": sorted(needs.host_ports),
        "aliases": list(order.aliases),
        "service_registries": list(order.registries),
        "attachment": attachment,
        "prepared": False,
        "failure": None,
        "removed": False,
        "doors": {c["name"]: new_number() for c in order.definition["containerDefinitions"]},
        "containers": {},  # name → what was observed, and `failure`
        "targets": [],
        "load_balancers": list(order.load_balancers),
        "was_healthy": False,
        "settled": False,
    }


def _container(
    world: World, container: Doc, task_arn: str, cluster: str, execute_command: bool
) -> Doc:
    task_id = task_arn.rpartition("/")[2]
    doc = {
        "containerArn": world.arn(f"container/{cluster}/{task_id}/{new_id()}"),
        "taskArn": task_arn,
        "name": container["name"],
        "image": container["image"],
        "lastStatus": "PENDING",
        "networkBindings": [],
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "managedAgents": [AGENT] if execute_command else [],
        "cpu": str(container["cpu"]),
    }
    for name in ("memory", "memoryReservation"):
        if name in container:
            doc[name] = str(container[name])
    return doc


def _attachment(attachment: str, eni: str, network: Doc) -> Doc:
    subnet = (network.get("subnets") or ["subnet-local"])[0]
    return {
        "id": attachment,
        "type": "ElasticNetworkInterface",
        "status": "PRECREATED",
        "details": [
            {"name": "subnetId", "value": subnet},
            {"name": "networkInterfaceId", "value": eni},
        ],
    }
