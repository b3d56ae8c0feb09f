"""Cloud Map: services, which ECS calls service registries, and their attributes."""

from __future__ import annotations

import secrets

from kaiun.engine.cloudmap import filters, records
from kaiun.engine.cloudmap.records import find_registry, invalid
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.namespaces import listed
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

ATTRIBUTES_LIMIT = 30


@operation("servicediscovery", "CreateService")
def create_service(world: World, params: Params) -> Params:
    dns = params.get("DnsConfig", {})
    reference = params.get("NamespaceId") or dns.get("NamespaceId")
    if not reference:
        raise invalid("A service needs the id of its namespace.")
    namespace = records.find_namespace(world, reference)
    known = _same(world, namespace, params)
    return {"Service": _view(world, known or _make(world, namespace, params))}


def _same(world: World, namespace: Doc, params: Params) -> Doc | None:
    """Return the service that this request has made before. Raises ServiceAlreadyExists."""
    for other in records.registries_in(world, namespace["Id"]):
        if other["Name"].lower() != params["Name"].lower():
            continue
        if params.get("CreatorRequestId") == other["CreatorRequestId"]:
            return other
        raise ApiError(
            "ServiceAlreadyExists",
            "Service already exists.",
            CreatorRequestId=other["CreatorRequestId"],
            ServiceId=other["Id"],
            ServiceArn=other["Arn"],
        )
    return None


def _make(world: World, namespace: Doc, params: Params) -> Doc:
    _check(namespace, params)
    registry_id, account = records.new_id("srv"), world.identity.account
    doc: Doc = {
        "Id": registry_id,
        "Arn": world.arn(f"service/{registry_id}", "servicediscovery"),
        "ResourceOwner": account,
        "Name": params["Name"],
        "NamespaceId": namespace["Id"],
        "Description": params.get("Description", ""),
        "Type": "DNS_HTTP" if "DnsConfig" in params else "HTTP",
        "CreateDate": world.now(),
        "CreatorRequestId": params.get("CreatorRequestId") or secrets.token_hex(16),
        "CreatedByAccount": account,
        "_": {"tags": params.get("Tags", []), "attributes": {}, "revision": 0},
    }
    if "DnsConfig" in params:
        dns = {"RoutingPolicy": "MULTIVALUE", **params["DnsConfig"]}
        doc["DnsConfig"] = dns | {"NamespaceId": namespace["Id"]}
    if "HealthCheckConfig" in params:
        doc["HealthCheckConfig"] = {"FailureThreshold": 1, **params["HealthCheckConfig"]}
    if "HealthCheckCustomConfig" in params:
        doc["HealthCheckCustomConfig"] = {"FailureThreshold": 1}
    world.cloud_map.registries[registry_id] = doc
    return doc


def _check(namespace: Doc, params: Params) -> None:
    """Raise InvalidInput for what the documentation of CreateService rules out."""
    kind, dns = namespace["Type"], params.get("DnsConfig")
    if dns is not None and (kind == "HTTP" or params.get("Type") == "HTTP"):
        raise invalid("A service that is found by API alone has no DnsConfig.")
    if "HealthCheckConfig" in params and "HealthCheckCustomConfig" in params:
        raise invalid("Specify either HealthCheckConfig or HealthCheckCustomConfig.")
    if "HealthCheckConfig" in params and kind != "DNS_PUBLIC":
        raise invalid("HealthCheckConfig is only for services in a public DNS namespace.")
    if dns is None:
        return
    types = [record["Type"] for record in dns["DnsRecords"]]
    if not types or len(set(types)) != len(types):
        raise invalid("DnsRecords has to have one record, or several of different types.")
    if "CNAME" in types and (len(types) > 1 or dns.get("RoutingPolicy") != "WEIGHTED"):
        raise invalid("A CNAME record stands alone, with the routing policy WEIGHTED.")


def _view(world: World, registry: Doc) -> Doc:
    return {**shown(registry), "InstanceCount": len(records.instances_of(world, registry))}


@operation("servicediscovery", "GetService")
def get_service(world: World, params: Params) -> Params:
    return {"Service": _view(world, find_registry(world, params["Id"]))}


@operation("servicediscovery", "ListServices")
def list_services(world: World, params: Params) -> Params:
    values: filters.Values = {
        "NAMESPACE_ID": lambda r: r["NamespaceId"],
        "RESOURCE_OWNER": lambda _: "SELF",
    }
    found = filters.chosen(world.cloud_map.registries.values(), params.get("Filters", ()), values)
    answer = listed("Services", found, params)
    return {**answer, "Services": [_summary(world, r) for r in answer["Services"]]}


def _summary(world: World, registry: Doc) -> Doc:
    view = _view(world, registry)
    del view["CreatorRequestId"], view["NamespaceId"]
    return view


@operation("servicediscovery", "UpdateService")
def update_service(world: World, params: Params) -> Params:
    """Change a service. Records and health check that the request leaves out are removed."""
    registry, change = find_registry(world, params["Id"]), params["Service"]
    if "DnsConfig" in change and "DnsConfig" not in registry:
        raise invalid("A service that is found by API alone has no DnsConfig.")
    if "HealthCheckConfig" in change and "HealthCheckCustomConfig" in registry:
        raise invalid("The service has a HealthCheckCustomConfig.")
    if "Description" in change:
        registry["Description"] = change["Description"]
    if "DnsConfig" in change:
        registry["DnsConfig"]["DnsRecords"] = change["DnsConfig"]["DnsRecords"]
    elif registry.pop("DnsConfig", None):
        registry["Type"] = "HTTP"
    if "HealthCheckConfig" in change:
        registry["HealthCheckConfig"] = {"FailureThreshold": 1, **change["HealthCheckConfig"]}
    else:
        registry.pop("HealthCheckConfig", None)
    world.cloud_map.registries.touch(registry["Id"])
    done = records.note_operation(world, "UPDATE_SERVICE", {"SERVICE": registry["Id"]})
    return {"OperationId": done}


@operation("servicediscovery", "DeleteService")
def delete_service(world: World, params: Params) -> Params:
    registry = find_registry(world, params["Id"])
    if records.instances_of(world, registry):
        raise ApiError(
            "ResourceInUse",
            "Service contains registered instances; delete the instances before deleting the"
            " service",
        )
    del world.cloud_map.registries[registry["Id"]]
    return {}


@operation("servicediscovery", "GetServiceAttributes")
def get_service_attributes(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    attributes = registry["_"]["attributes"]
    told = {"ServiceArn": registry["Arn"], "ResourceOwner": registry["ResourceOwner"]}
    return {"ServiceAttributes": {**told, "Attributes": attributes}}


@operation("servicediscovery", "UpdateServiceAttributes")
def update_service_attributes(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    given = registry["_"]["attributes"] | params["Attributes"]
    if len(given) > ATTRIBUTES_LIMIT:
        raise ApiError(
            "ServiceAttributesLimitExceededException",
            f"A service has at most {ATTRIBUTES_LIMIT} attributes.",
        )
    registry["_"]["attributes"] = given
    world.cloud_map.registries.touch(registry["Id"])
    return {}


@operation("servicediscovery", "DeleteServiceAttributes")
def delete_service_attributes(world: World, params: Params) -> Params:
    registry = find_registry(world, params["ServiceId"])
    for name in params["Attributes"]:
        registry["_"]["attributes"].pop(name, None)
    world.cloud_map.registries.touch(registry["Id"])
    return {}
