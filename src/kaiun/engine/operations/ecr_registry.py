"""ECR's settings of the whole registry: kept and shown; nothing is replicated or scanned."""

from __future__ import annotations

import json

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.ecr_common import find_repository, id_text, place_of
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_KEY = "self"


def _own(world: World) -> Doc:
    return world.ecr_settings.get(_KEY) or {}


def _keep(world: World, name: str, value: object) -> None:
    world.ecr_settings[_KEY] = {**_own(world), name: value}


@operation("ecr", "DescribeRegistry")
def describe_registry(world: World, params: Params) -> Params:
    del params
    replication = _own(world).get("replication", {"rules": []})
    return {"registryId": world.identity.account, "replicationConfiguration": replication}


@operation("ecr", "PutReplicationConfiguration")
def put_replication_configuration(world: World, params: Params) -> Params:
    _keep(world, "replication", params["replicationConfiguration"])
    return {"replicationConfiguration": params["replicationConfiguration"]}


def _policy(world: World) -> Doc:
    text = _own(world).get("policy")
    if text is None:
        raise ApiError(
            "RegistryPolicyNotFoundException",
            f"Registry policy does not exist in the registry with id '{world.identity.account}'",
        )
    return {"registryId": world.identity.account, "policyText": text}


@operation("ecr", "PutRegistryPolicy")
def put_registry_policy(world: World, params: Params) -> Params:
    try:
        json.loads(params["policyText"])
    except (ValueError, RecursionError):
        raise invalid_parameter(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry "
            "policy provided'"
        ) from None
    _keep(world, "policy", params["policyText"])
    return _policy(world)


@operation("ecr", "GetRegistryPolicy")
def get_registry_policy(world: World, params: Params) -> Params:
    del params
    return _policy(world)


@operation("ecr", "DeleteRegistryPolicy")
def delete_registry_policy(world: World, params: Params) -> Params:
    del params
    face = _policy(world)
    world.ecr_settings[_KEY] = {n: v for n, v in _own(world).items() if n != "policy"}
    return face


@operation("ecr", "GetRegistryScanningConfiguration")
def get_registry_scanning_configuration(world: World, params: Params) -> Params:
    del params
    scanning = _own(world).get("scanning", {"scanType": "BASIC", "rules": []})
    return {"registryId": world.identity.account, "scanningConfiguration": scanning}


@operation("ecr", "PutRegistryScanningConfiguration")
def put_registry_scanning_configuration(world: World, params: Params) -> Params:
    scanning = {"scanType": "BASIC", "rules": [], **params}
    _keep(world, "scanning", scanning)
    return {"registryScanningConfiguration": scanning}


@operation("ecr", "BatchGetRepositoryScanningConfiguration")
def batch_get_repository_scanning_configuration(world: World, params: Params) -> Params:
    found, failures = [], []
    for name in params["repositoryNames"]:
        if (repository := world.repositories.get(name)) is None:
            failures.append({"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND"})
            continue
        on_push = repository["imageScanningConfiguration"]["scanOnPush"]
        found.append(
            {
                "repositoryArn": repository["repositoryArn"],
                "repositoryName": name,
                "scanOnPush": on_push,
                "scanFrequency": "SCAN_ON_PUSH" if on_push else "MANUAL",
                "appliedScanFilters": [],
            }
        )
    return {"scanningConfigurations": found, "failures": failures}


@operation("ecr", "DescribeImageScanFindings")
def describe_image_scan_findings(world: World, params: Params) -> Params:
    """No image is ever scanned here, and that is what ECR says of one that was not."""
    repository, shown = find_repository(world, params), id_text(params["imageId"])
    text = f"Image scan does not exist for the image with '{shown}' in {place_of(repository)}"
    raise ApiError("ScanNotFoundException", text)
