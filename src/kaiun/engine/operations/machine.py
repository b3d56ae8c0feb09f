"""Container instances: the one that this machine is, and those that are only declared.

A declared instance (RegisterContainerInstance) is bookkeeping: CPU, memory, attributes and a zone
to rehearse placement with. Its tasks are containers of this machine like all others.
"""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Iterable, Sequence

from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import new_id
from kaiun.engine.store import Doc
from kaiun.engine.world import World

ZONE = "a"
INACTIVE = "INACTIVE"
_ECS_NAMES = {"aarch64": "arm64"}  # of the CPU architectures; the others are as the kernel says


def cpu_architecture() -> Doc:
    """Return the attribute that tells this machine's architecture."""
    machine = platform.machine()
    return {"name": "ecs.cpu-architecture", "value": _ECS_NAMES.get(machine, machine)}


def platform_attributes(architecture: str | None = None) -> list[Doc]:
    """Return what ECS knows of an instance's system; the architecture is this machine's where none
    is given.

    Source: amazon-ecs-agent, ecs-agent/api/ecs/client/ecs_client.go, getAdditionalAttributes.
    """
    return [
        {"name": "ecs.os-type", "value": "linux"},
        {"name": "ecs.os-family", "value": "LINUX"},
        {**cpu_architecture(), **({"value": architecture} if architecture else {})},
    ]


def instances_of(world: World, cluster: str) -> list[Doc]:
    """Return the container instances of a cluster, oldest first, without deregistered ones.

    This machine is one of every cluster, unless it was deregistered there.
    """
    own = [i for i in world.instances.values() if i["_"]["cluster"] == cluster]
    if not any(is_machine(instance) for instance in own):
        own.append(_register_machine(world, cluster))
    return [instance for instance in own if instance["status"] != INACTIVE]


def is_machine(instance: Doc) -> bool:
    """Return whether an instance is this machine itself."""
    machine: bool = instance["_"].get("machine", True)
    return machine


def find_instance(world: World, cluster: str, reference: str) -> Doc | None:
    """Return an instance of a cluster by id or ARN, also one that is INACTIVE."""
    instances_of(world, cluster)
    arn = world.arn(f"container-instance/{name_of(cluster)}/{name_of(reference)}")
    return world.instances.get(arn) if reference in (arn, name_of(reference)) else None


def zone_of(instance: Doc) -> str:
    """Return the availability zone that an instance says it is in."""
    return attribute_of(instance, "ecs.availability-zone") or ""


def attribute_of(instance: Doc, name: str) -> str | None:
    """Return an attribute's value, "" for one without, None where it is not set."""
    return next((a.get("value", "") for a in instance["attributes"] if a["name"] == name), None)


def _register_machine(world: World, cluster: str) -> Doc:
    instance = new_instance(
        world,
        cluster,
        capacity=_capacity(world),
        ec2_instance_id="i-" + world.identity.engine_id.rjust(17, "0")[:17],
        attributes=[
            {"name": "ecs.availability-zone", "value": world.identity.region + ZONE},
            {"name": "ecs.instance-type", "value": "local"},
            *platform_attributes(),
        ],
    )
    instance["_"]["machine"] = True
    world.instances[instance["containerInstanceArn"]] = instance
    return instance


def new_instance(
    world: World,
    cluster: str,
    *,
    capacity: tuple[int, int],
    ec2_instance_id: str | None = None,
    attributes: Iterable[Doc] = (),
    ports: Sequence[str] = (),
) -> Doc:
    """Return the document of an instance of `capacity` CPU units and MiB; it is not stored yet."""
    cpu, memory = capacity
    offered = resources(cpu, memory, ports)
    return {
        "containerInstanceArn": world.arn(f"container-instance/{name_of(cluster)}/{new_id()}"),
        "ec2InstanceId": ec2_instance_id or f"i-{secrets.token_hex(9)[:17]}",
        "version": 1,
        "versionInfo": {"agentVersion": "1.0.0", "agentHash": "", "dockerVersion": ""},
        "registeredResources": offered,
        "remainingResources": offered,
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "attributes": list(attributes),
        "registeredAt": world.now(),
        "attachments": [],
        "tags": [],
        "_": {
            "cluster": cluster,
            "cpu": cpu,
            "memory": memory,
            "machine": False,
            "ports": list(ports),
        },
    }


def _capacity(world: World) -> tuple[int, int]:
    """Return the CPU units and MiB that this machine offers.

    They are no promise but a ceiling: the machine is somebody's laptop, where tasks seldom use what
    they reserve, so it offers far more than it has. KAIUN_INSTANCE_CPU and KAIUN_INSTANCE_MEMORY
    set real ones.
    """
    ample = 1_000_000_000 if world.null_runtime else 1_024_000
    cpu = int(os.environ.get("KAIUN_INSTANCE_CPU", ample))
    return cpu, int(os.environ.get("KAIUN_INSTANCE_MEMORY", ample))


def resources(cpu: int, memory_mib: int, ports: Sequence[int | str]) -> list[Doc]:
    """Return what an instance has, as DescribeContainerInstances shows it."""
    return [
        _resource("CPU", cpu),
        _resource("MEMORY", memory_mib),
        _ports("PORTS", ports),
        _ports("PORTS_UDP", ()),
    ]


def _resource(name: str, value: int) -> Doc:
    return {
        "name": name,
        "type": "INTEGER",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": value,
    }


def _ports(name: str, ports: Sequence[int | str]) -> Doc:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(p) for p in ports],
    }
