"""Cloud Map: instances, which for ECS are tasks: registered, listed, discovered."""

from __future__ import annotations

import random

from kaiun.engine.cloudmap import filters, records
from kaiun.engine.cloudmap.records import find_instance, find_registry, invalid, status_of
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.namespaces import listed
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DISCOVERED = 100
_NEEDED = {  # attribute that a type of record needs
    "A": "AWS_INSTANCE_IPV4",
    "AAAA": "AWS_INSTANCE_IPV6",
    "CNAME": "AWS_INSTANCE_CNAME",
    "SRV": "AWS_INSTANCE_PORT",
}


@operation("servicediscovery", "RegisterInstance")
def register_instance(world: World, params: Params) -> Params:
    registry, attributes = find_registry(world, params["ServiceId"]), params["Attributes"]
    _check(registry, attributes)
    records.put_instance(
        world, registry, params["InstanceId"], attributes, params.get("CreatorRequestId")
    )
    return _done(world, "REGISTER_INSTANCE", registry, params["InstanceId"])


def _check(registry: Doc, attributes: Doc) -> None:
    if "AWS_ALIAS_DNS_NAME" in attributes:
        return
    for record in registry.get("DnsConfig", {}).get("DnsRecords", ()):
        needed = _NEEDED[record["Type"]]
        if needed not in attributes:
            raise invalid(f"A record of type {record['Type']} needs the attribute {needed}.")
    if attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY") not in ("HEALTHY", "UNHEALTHY"):
        raise invalid("AWS_INIT_HEALTH_STATUS is either HEALTHY or UNHEALTHY.")


def _done(world: World, kind: str, registry: Doc, instance_id: str) -> Params:
    targets = {"INSTANCE": instance_id, "SERVICE": registry["Id"]}
    return {"OperationId": records.note_operation(world, kind, targets)}


@operation("servicediscovery", "DeregisterInstance")
def deregister_instance(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    records.drop_instance(world, registry, params["InstanceId"])
    return _done(world, "DEREGISTER_INSTANCE", registry, params["InstanceId"])


@operation("servicediscovery", "GetInstance")
def get_instance(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    instance = find_instance(world, registry, params["InstanceId"])
    view = _view(world, instance)
    if instance["creator"]:
        view["CreatorRequestId"] = instance["creator"]
    return {"ResourceOwner": world.identity.account, "Instance": view}


def _view(world: World, instance: Doc) -> Doc:
    return {
        "Id": instance["id"],
        "Attributes": instance["attributes"],
        "CreatedByAccount": world.identity.account,
    }


@operation("servicediscovery", "ListInstances")
def list_instances(world: World, params: Params) -> Params:
    found = records.instances_of(world, find_registry(world, params["ServiceId"]))
    answer = listed("Instances", [_view(world, i) for i in found], params)
    return {"ResourceOwner": world.identity.account, **answer}


@operation("servicediscovery", "GetInstancesHealthStatus")
def get_instances_health_status(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    if "Instances" in params:
        found = [find_instance(world, registry, one) for one in params["Instances"]]
    else:
        found = records.instances_of(world, registry)
    answer = listed("Status", found, params)
    return {**answer, "Status": {i["id"]: status_of(registry, i) for i in answer["Status"]}}


@operation("servicediscovery", "UpdateInstanceCustomHealthStatus")
def update_instance_custom_health_status(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    instance = find_instance(world, registry, params["InstanceId"])
    if "HealthCheckCustomConfig" not in registry:
        text = f"The service {registry['Id']} has no HealthCheckCustomConfig."
        raise ApiError("CustomHealthNotFound", text)
    records.put_health(world, registry, instance, params["Status"])
    return {}


@operation("servicediscovery", "DiscoverInstances")
def discover_instances(world: World, params: Params) -> Params:
    registry = _discoverable(world, params)
    paired = [(i, status_of(registry, i)) for i in records.instances_of(world, registry)]
    checked = "HealthCheckConfig" in registry or "HealthCheckCustomConfig" in registry
    found = filters.discovered(paired, params, checked=checked)
    random.shuffle(found)  # as AWS does, for clients to spread
    told = [
        {
            "InstanceId": instance["id"],
            "NamespaceName": params["NamespaceName"],
            "ServiceName": registry["Name"],
            "HealthStatus": status_of(registry, instance),
            "Attributes": instance["attributes"],
        }
        for instance in found[: params.get("MaxResults", DISCOVERED)]
    ]
    return {"Instances": told, "InstancesRevision": registry["_"]["revision"]}


@operation("servicediscovery", "DiscoverInstancesRevision")
def discover_instances_revision(world: World, params: Params) -> Params:
    return {"InstancesRevision": _discoverable(world, params)["_"]["revision"]}


def _discoverable(world: World, params: Params) -> Doc:
    """Return the service of these names. Raises NamespaceNotFound or ServiceNotFound."""
    name, service = params["NamespaceName"], params["ServiceName"].lower()
    for namespace in world.cloud_map.namespaces.values():
        if namespace["Properties"]["HttpProperties"]["HttpName"] == name:
            break
    else:
        raise ApiError("NamespaceNotFound", f"Namespace {name} was not found.")
    for registry in records.registries_in(world, namespace["Id"]):
        if registry["Name"].lower() == service:
            return registry
    raise ApiError("ServiceNotFound", f"Service {params['ServiceName']} was not found.")
