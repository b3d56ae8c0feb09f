"""The container instance that this machine is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kaiun.engine.operations.common import new_id
from kaiun.engine.operations.making import ZONE
from kaiun.engine.store import Doc
from kaiun.engine.world import World


def instance_of(world: World, cluster: str) -> Doc:
    """Return the container instance that this machine is in a cluster, registered if missing."""
    for instance in world.instances.values():
        if instance["_"]["cluster"] == cluster:
            return instance
    arn = world.arn(f"container-instance/{cluster.rpartition('/')[2]}/{new_id()}")
    cpu, memory = _capacity(world)
    offered = resources(cpu, memory, ())
    instance = {
        "containerInstanceArn": arn,
        "ec2InstanceId": "i-" + world.identity.engine_id.rjust(17, "0")[:17],
        "version": 1,
        "versionInfo": {"agentVersion": "1.0.0", "agentHash": "", "dockerVersion": ""},
        "registeredResources": offered,
        "remainingResources": offered,
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "attributes": [
            {"name": "ecs.availability-zone", "value": world.identity.region + ZONE},
            {"name": "ecs.os-type", "value": "linux"},
            {"name": "ecs.instance-type", "value": "local"},
        ],
        "registeredAt": world.now(),
        "attachments": [],
        "tags": [],
        "_": {"cluster": cluster, "cpu": cpu, "memory": memory},
    }
    world.instances[arn] = instance
    return instance


def _capacity(world: World) -> tuple[int, int]:
    """Return the CPU units and MiB that this machine offers.

    They are no promise but a ceiling: the machine is somebody's laptop, where tasks seldom use what
    they reserve, so it offers far more than it has. KAIUN_INSTANCE_CPU and KAIUN_INSTANCE_MEMORY
    set real ones.
    """
    ample = 1_000_000_000 if world.null_runtime else 1_024_000
    cpu = int(os.environ.get("KAIUN_INSTANCE_CPU", ample))
    return cpu, int(os.environ.get("KAIUN_INSTANCE_MEMORY", ample))


def resources(cpu: int, memory_mib: int, ports: Sequence[int]) -> list[Doc]:
    """Return what an instance has, as DescribeContainerInstances shows it."""
    return [_resource("CPU", cpu), _resource("MEMORY", memory_mib), _ports(ports)]


def _resource(name: str, value: int) -> Doc:
    return {
        "name": name,
        "type": "INTEGER",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": value,
    }


def _ports(ports: Sequence[int]) -> Doc:
    return {
        "name": "PORTS",
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(p) for p in ports],
    }
