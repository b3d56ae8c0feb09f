"""Cloud Map: namespaces, what was done to them, and tags of all that is Cloud Map's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from kaiun.engine.cloudmap import filters, records
from kaiun.engine.cloudmap.records import find_namespace, invalid, note_operation
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import page, shown
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

SOA_TTL_S = 15
PAGE = 100


@operation("servicediscovery", "CreateHttpNamespace")
def create_http_namespace(world: World, params: Params) -> Params:
    return _create(world, params, "HTTP")


@operation("servicediscovery", "CreatePrivateDnsNamespace")
def create_private_dns_namespace(world: World, params: Params) -> Params:
    return _create(world, params, "DNS_PRIVATE")


@operation("servicediscovery", "CreatePublicDnsNamespace")
def create_public_dns_namespace(world: World, params: Params) -> Params:
    return _create(world, params, "DNS_PUBLIC")


def _create(world: World, params: Params, kind: str) -> Params:
    """Make a namespace; a request that comes again has the answer of the first."""
    name, creator = params["Name"], params.get("CreatorRequestId")
    same_name = [n for n in world.cloud_map.namespaces.values() if n["Name"] == name]
    for other in same_name:
        if (other["Type"], other["_"]["vpc"]) != (kind, params.get("Vpc")):
            continue
        if creator is not None and other["CreatorRequestId"] == creator:
            return {"OperationId": other["_"]["operation"]}
        raise ApiError(
            "NamespaceAlreadyExists",
            f"A namespace with the name {name} already exists.",
            CreatorRequestId=other["CreatorRequestId"],
            NamespaceId=other["Id"],
        )
    namespace_id = records.new_id("ns")
    operation_id = note_operation(world, "CREATE_NAMESPACE", {"NAMESPACE": namespace_id})
    world.cloud_map.namespaces[namespace_id] = {
        "Id": namespace_id,
        "Arn": world.arn(f"namespace/{namespace_id}", "servicediscovery"),
        "ResourceOwner": world.identity.account,
        "Name": name,
        "Type": kind,
        "Description": params.get("Description", ""),
        "Properties": _properties(params, kind, taken=bool(same_name)),
        "CreateDate": world.now(),
        "CreatorRequestId": creator or secrets.token_hex(16),
        "_": {
            "tags": params.get("Tags", []),
            "vpc": params.get("Vpc"),
            "operation": operation_id,
        },
    }
    return {"OperationId": operation_id}


def _properties(params: Params, kind: str, *, taken: bool) -> Doc:
    """Return a namespace's properties; what DiscoverInstances asks for it by is unlike others."""
    name = params["Name"]
    properties: Doc = {"HttpProperties": {"HttpName": name}}
    if taken:
        properties["HttpProperties"]["HttpName"] = f"{name}-{secrets.token_hex(4)}"
    if kind != "HTTP":
        asked = params.get("Properties", {}).get("DnsProperties", {})
        zone = "Z" + secrets.token_hex(10).upper()
        properties["DnsProperties"] = {"HostedZoneId": zone, "SOA": {"TTL": SOA_TTL_S}} | asked
    return properties


def listed(name: str, items: Sequence[Doc], params: Params) -> Params:
    """Return a page of items in Cloud Map's form."""
    asked = {"nextToken": params.get("NextToken"), "maxResults": params.get("MaxResults")}
    part, following = page(items, asked, limit=PAGE, error=invalid)
    return {name: part, "NextToken": following} if following else {name: part}


def _view(world: World, namespace: Doc) -> Doc:
    count = len(records.registries_in(world, namespace["Id"]))
    return {**shown(namespace), "ServiceCount": count}


@operation("servicediscovery", "GetNamespace")
def get_namespace(world: World, params: Params) -> Params:
    return {"Namespace": _view(world, find_namespace(world, params["Id"]))}


@operation("servicediscovery", "ListNamespaces")
def list_namespaces(world: World, params: Params) -> Params:
    values: filters.Values = {
        "TYPE": lambda n: n["Type"],
        "NAME": lambda n: n["Name"],
        "HTTP_NAME": lambda n: n["Properties"]["HttpProperties"]["HttpName"],
        "RESOURCE_OWNER": lambda _: "SELF",
    }
    found = filters.chosen(world.cloud_map.namespaces.values(), params.get("Filters", ()), values)
    answer = listed("Namespaces", found, params)
    return {**answer, "Namespaces": [_summary(world, n) for n in answer["Namespaces"]]}


def _summary(world: World, namespace: Doc) -> Doc:
    view = _view(world, namespace)
    del view["CreatorRequestId"]
    return view


@operation("servicediscovery", "DeleteNamespace")
def delete_namespace(world: World, params: Params) -> Params:
    namespace = find_namespace(world, params["Id"])
    if records.registries_in(world, namespace["Id"]):
        raise ApiError(
            "ResourceInUse",
            "Namespace contains services; delete the services before deleting the namespace.",
        )
    del world.cloud_map.namespaces[namespace["Id"]]
    return _done(world, "DELETE_NAMESPACE", namespace)


def _done(world: World, kind: str, namespace: Doc) -> Params:
    return {"OperationId": note_operation(world, kind, {"NAMESPACE": namespace["Id"]})}


@operation("servicediscovery", "UpdateHttpNamespace")
def update_http_namespace(world: World, params: Params) -> Params:
    return _update(world, params, "HTTP")


@operation("servicediscovery", "UpdatePrivateDnsNamespace")
def update_private_dns_namespace(world: World, params: Params) -> Params:
    return _update(world, params, "DNS_PRIVATE")


@operation("servicediscovery", "UpdatePublicDnsNamespace")
def update_public_dns_namespace(world: World, params: Params) -> Params:
    return _update(world, params, "DNS_PUBLIC")


def _update(world: World, params: Params, kind: str) -> Params:
    namespace, change = find_namespace(world, params["Id"]), params["Namespace"]
    if namespace["Type"] != kind:
        raise invalid(f"The namespace {params['Id']} is not of type {kind}.")
    if "Description" in change:
        namespace["Description"] = change["Description"]
    if "Properties" in change:
        namespace["Properties"]["DnsProperties"] |= change["Properties"]["DnsProperties"]
    world.cloud_map.namespaces.touch(namespace["Id"])
    return _done(world, "UPDATE_NAMESPACE", namespace)


@operation("servicediscovery", "GetOperation")
def get_operation(world: World, params: Params) -> Params:
    found = world.cloud_map.operations.get(params["OperationId"])
    if found is None:
        text = f"No operation found with id {params['OperationId']}."
        raise ApiError("OperationNotFound", text)
    return {"Operation": found}


@operation("servicediscovery", "ListOperations")
def list_operations(world: World, params: Params) -> Params:
    values: filters.Values = {
        "NAMESPACE_ID": lambda o: o["Targets"].get("NAMESPACE"),
        "SERVICE_ID": lambda o: o["Targets"].get("SERVICE"),
        "STATUS": lambda o: o["Status"],
        "TYPE": lambda o: o["Type"],
        "UPDATE_DATE": lambda o: o["UpdateDate"],
    }
    newest = reversed(world.cloud_map.operations.values())
    found = filters.chosen(newest, params.get("Filters", ()), values)
    brief = [{"Id": o["Id"], "Status": o["Status"]} for o in found]
    return listed("Operations", brief, params)


@operation("servicediscovery", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    return {"Tags": _tagged(world, params["ResourceARN"])["_"]["tags"]}


@operation("servicediscovery", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    doc = _tagged(world, params["ResourceARN"])
    given = {tag["Key"]: tag for tag in [*doc["_"]["tags"], *params["Tags"]]}
    if len(given) > 50:
        raise ApiError(
            "TooManyTagsException",
            "The list of tags on the resource is over the limit of 50.",
            ResourceName=params["ResourceARN"],
        )
    doc["_"]["tags"] = list(given.values())
    _touch(world, doc)
    return {}


@operation("servicediscovery", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    doc = _tagged(world, params["ResourceARN"])
    doc["_"]["tags"] = [t for t in doc["_"]["tags"] if t["Key"] not in params["TagKeys"]]
    _touch(world, doc)
    return {}


def _tagged(world: World, arn: str) -> Doc:
    """Return the namespace or the service of an ARN. Raises ResourceNotFoundException."""
    kept, own_id = world.cloud_map, name_of(arn)
    found = kept.namespaces.get(own_id) or kept.registries.get(own_id)
    if found is None or found["Arn"] != arn:
        raise ApiError("ResourceNotFoundException", f"The resource {arn} does not exist.")
    return found


def _touch(world: World, doc: Doc) -> None:
    for table in (world.cloud_map.namespaces, world.cloud_map.registries):
        if doc["Id"] in table:
            table.touch(doc["Id"])
