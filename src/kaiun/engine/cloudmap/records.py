"""Namespaces and service registries as Cloud Map keeps them, found by id or ARN.

Source: Cloud Map API, the shapes Namespace, Service, Operation.
"""

from __future__ import annotations

import secrets
import string
from typing import Final

from kaiun.engine.identity import name_of
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

OPERATIONS_KEPT: Final = 500
_ALPHABET: Final = string.ascii_lowercase + string.digits


def new_id(kind: str) -> str:
    """Return an id as Cloud Map makes them: ns-… and srv-…, of 16 characters."""
    return f"{kind}-" + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def invalid(message: str) -> ApiError:
    return ApiError("InvalidInput", message)


def find_namespace(world: World, reference: str) -> Doc:
    """Return a namespace by id or ARN. Raises NamespaceNotFound."""
    found = world.cloud_map.namespaces.get(name_of(reference))
    if found is None or not _is_named(found, reference):
        raise ApiError("NamespaceNotFound", f"No namespace found with {reference}.")
    return found


def find_registry(world: World, reference: str) -> Doc:
    """Return a service of Cloud Map by id or ARN. Raises ServiceNotFound."""
    found = world.cloud_map.registries.get(name_of(reference))
    if found is None or not _is_named(found, reference):
        raise ApiError("ServiceNotFound", f"Service with ID: {reference} was not found.")
    return found


def _is_named(doc: Doc, reference: str) -> bool:
    return not reference.startswith("arn:") or reference == doc["Arn"]


def registries_in(world: World, namespace_id: str) -> list[Doc]:
    return [r for r in world.cloud_map.registries.values() if r["NamespaceId"] == namespace_id]


def instance_key(registry_id: str, instance_id: str) -> str:
    return f"{registry_id}/{instance_id}"


def instances_of(world: World, registry: Doc) -> list[Doc]:
    """Return who is registered, in the order of registration."""
    return [i for i in world.cloud_map.instances.values() if i["registry"] == registry["Id"]]


def put_instance(
    world: World, registry: Doc, instance_id: str, attributes: Doc, creator: str | None = None
) -> None:
    """Register, anew where the id is registered already."""
    key = instance_key(registry["Id"], instance_id)
    world.cloud_map.instances[key] = {
        "registry": registry["Id"],
        "id": instance_id,
        "attributes": attributes,
        "creator": creator,
        "health": attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY"),
    }
    note_change(world, registry)


def drop_instance(world: World, registry: Doc, instance_id: str) -> None:
    """Deregister. Raises InstanceNotFound."""
    find_instance(world, registry, instance_id)
    del world.cloud_map.instances[instance_key(registry["Id"], instance_id)]
    note_change(world, registry)


def find_instance(world: World, registry: Doc, instance_id: str) -> Doc:
    found = world.cloud_map.instances.get(instance_key(registry["Id"], instance_id))
    if found is None:
        raise ApiError("InstanceNotFound", f"Instance {instance_id} was not found.")
    return found


def put_health(world: World, registry: Doc, instance: Doc, health: str) -> None:
    if instance["health"] != health:
        instance["health"] = health
        world.cloud_map.instances.touch(instance_key(registry["Id"], instance["id"]))
        note_change(world, registry)


def note_change(world: World, registry: Doc) -> None:
    """Count a change of who is registered (InstancesRevision)."""
    registry["_"]["revision"] += 1
    world.cloud_map.registries.touch(registry["Id"])


def status_of(registry: Doc, instance: Doc) -> str:
    """Return an instance's health; Route 53's own checks (HealthCheckConfig) are not made here."""
    return instance["health"] if "HealthCheckCustomConfig" in registry else "UNKNOWN"


def note_operation(world: World, kind: str, targets: Doc) -> str:
    """Take note of what was asked for, and is done already; return the operation's id."""
    operation_id = f"{secrets.token_hex(16)}-{secrets.token_hex(4)}"
    now = world.now()
    world.cloud_map.operations[operation_id] = {
        "Id": operation_id,
        "OwnerAccount": world.identity.account,
        "Type": kind,
        "Status": "SUCCESS",
        "CreateDate": now,
        "UpdateDate": now,
        "Targets": targets,
    }
    for old in list(world.cloud_map.operations)[:-OPERATIONS_KEPT]:
        del world.cloud_map.operations[old]
    return operation_id
