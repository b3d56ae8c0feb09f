"""Tasks in the service registries of their service: registered while they run, with their health.

Source: ECS developer guide, "Use service discovery": the attributes of an instance, and that ECS
tells Cloud Map the health of containers with a health check.
"""

from __future__ import annotations

from typing import Final

from kaiun.engine.cloudmap import records
from kaiun.engine.identity import name_of
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.store import Doc
from kaiun.engine.world import World

LOOPBACK: Final = "127.0.0.1"  # of tasks in the network of this machine


def dns_name(world: World, arn: str) -> str | None:
    """Return the DNS name that a registry gives its tasks; None where it is found by API alone.

    Raises RuntimeFailure for a registry that does not exist.
    """
    try:
        registry = records.find_registry(world, arn)
        namespace = records.find_namespace(world, registry["NamespaceId"])
    except ApiError as refusal:
        raise RuntimeFailure(
            "ResourceInitializationError",
            f"unable to find service registry {arn}: {refusal.code}: {refusal.message}",
        ) from refusal
    return f"{registry['Name']}.{namespace['Name']}" if "DnsConfig" in registry else None


def follow(world: World, task: Doc) -> None:
    """Bring the registries of a task up to date with it.

    Who deregisters a running task by hand has it deregistered, as on AWS: it does not come again.
    """
    own = task["_"]
    if not own.get("service_registries"):
        return
    runs = task["lastStatus"] == task["desiredStatus"] == "RUNNING"
    if not runs:
        _withdraw(world, own)
    elif own.get("registered"):
        _tell_health(world, task)
    else:
        _register(world, task)


def _register(world: World, task: Doc) -> None:
    own = task["_"]
    own["registered"] = True
    for entry in own["service_registries"]:
        registry = world.cloud_map.registries.get(name_of(entry["registryArn"]))
        if registry is not None:
            told = _attributes(world, task, entry)
            if "HealthCheckCustomConfig" in registry:
                told["AWS_INIT_HEALTH_STATUS"] = _health(world, task)
            records.put_instance(world, registry, own["id"], told)


def _withdraw(world: World, own: Doc) -> None:
    if own.pop("registered", False):
        for registry in _registries(world, own):
            records.drop_instance(world, registry, own["id"])


def _tell_health(world: World, task: Doc) -> None:
    own = task["_"]
    for registry in _registries(world, own):
        instance = records.find_instance(world, registry, own["id"])
        if "HealthCheckCustomConfig" in registry:
            records.put_health(world, registry, instance, _health(world, task))


def _registries(world: World, own: Doc) -> list[Doc]:
    """Return those of a task's registries that it is registered in."""
    kept = world.cloud_map
    ids = [name_of(entry["registryArn"]) for entry in own["service_registries"]]
    return [
        kept.registries[registry_id]
        for registry_id in ids
        if records.instance_key(registry_id, own["id"]) in kept.instances
    ]


def _health(world: World, task: Doc) -> str:
    definition = world.task_definitions[task["taskDefinitionArn"]]
    checked = any("healthCheck" in c for c in definition["containerDefinitions"])
    return "HEALTHY" if not checked or task["healthStatus"] == "HEALTHY" else "UNHEALTHY"


def _attributes(world: World, task: Doc, entry: Doc) -> Doc:
    definition = world.task_definitions[task["taskDefinitionArn"]]
    told = {
        "AVAILABILITY_ZONE": task["availabilityZone"],
        "AWS_INSTANCE_IPV4": _address(task, entry),
        "ECS_CLUSTER_NAME": task["clusterArn"].rpartition("/")[2],
        "ECS_SERVICE_NAME": task["group"].partition(":")[2],
        "ECS_TASK_DEFINITION_FAMILY": definition["family"],
        "REGION": world.identity.region,
    }
    if (port := entry.get("containerPort") or entry.get("port")) is not None:
        told["AWS_INSTANCE_PORT"] = str(port)
    instance = world.instances.get(task.get("containerInstanceArn", ""))
    if instance is not None:
        told["EC2_INSTANCE_ID"] = instance["ec2InstanceId"]
    task_set = world.task_sets.get(task["_"]["service"])
    if task_set is not None and task_set.get("externalId"):
        told["ECS_TASK_SET_EXTERNAL_ID"] = task_set["externalId"]
    return told


def _address(task: Doc, entry: Doc) -> str:
    """Return the address of the container that an entry names, else of the first that has one."""
    containers = task["_"]["containers"]
    named = containers.get(entry.get("containerName", ""), {})
    addresses = (own.get("address") for own in (named, *containers.values()))
    return next((address for address in addresses if address), LOOPBACK)
