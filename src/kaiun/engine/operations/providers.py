"""Capacity providers: made, described, changed, deleted; and the strategies that name them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import check_tags, missing, page, shown
from kaiun.engine.protocol.errors import ApiError, client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

FARGATE = ("FARGATE", "FARGATE_SPOT")
_NAME = re.compile(r"(?!aws|ecs|fargate)[a-zA-Z0-9_-]{1,255}", re.IGNORECASE)
_MAX_IN_STRATEGY = 20
_SCALING = {
    "status": "DISABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10000,
    "instanceWarmupPeriod": 300,
}


def is_fargate(name: str) -> bool:
    """Return whether a capacity provider is one of Fargate's own."""
    return name in FARGATE


@operation("ecs", "CreateCapacityProvider")
def create_capacity_provider(world: World, params: Params) -> Params:
    name = params["name"]
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            "The specified capacity provider name is invalid. Up to 255 letters, numbers, "
            "underscores and hyphens are allowed, and the name cannot begin with aws, ecs or "
            "fargate."
        )
    if "managedInstancesProvider" in params:
        raise ApiError(
            "UnsupportedFeatureException",
            "Capacity providers of managed instances are not supported by this local ECS.",
        )
    if "autoScalingGroupProvider" not in params:
        raise client_error("An Auto Scaling group provider must be specified.")
    tags = check_tags(params.get("tags", []))
    old = world.capacity_providers.get(name)
    if old is not None and old["status"] == "ACTIVE":
        raise client_error(f"The specified capacity provider already exists: {name}")
    provider = {
        "capacityProviderArn": world.arn(f"capacity-provider/{name}"),
        "name": name,
        "status": "ACTIVE",
        "autoScalingGroupProvider": _with_defaults(params["autoScalingGroupProvider"], {}),
        "tags": tags,
        "type": "EC2_AUTOSCALING",
    }
    world.capacity_providers[name] = provider
    return {"capacityProvider": shown(provider)}


def _with_defaults(given: Doc, before: Doc) -> Doc:
    scaling = {**_SCALING, **before.get("managedScaling", {}), **given.get("managedScaling", {})}
    low, high = scaling["minimumScalingStepSize"], scaling["maximumScalingStepSize"]
    if not 1 <= scaling["targetCapacity"] <= 100:
        raise invalid_parameter("targetCapacity must be between 1 and 100.")
    if not (1 <= low <= 10000 and 1 <= high <= 10000):
        raise invalid_parameter("The scaling step size must be between 1 and 10000.")
    if low > high:
        raise invalid_parameter(
            "The minimum scaling step size cannot be greater than the maximum scaling step size."
        )
    return {
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
        **before,
        **given,
        "managedScaling": scaling,
    }


@operation("ecs", "DescribeCapacityProviders")
def describe_capacity_providers(world: World, params: Params) -> Params:
    everything = [*(_own(world, name) for name in FARGATE), *world.capacity_providers.values()]
    known = {provider["name"]: provider for provider in everything}
    names = [name_of(reference) for reference in params.get("capacityProviders", known)]
    if len(names) > 100:
        raise invalid_parameter("At most 100 capacity providers can be described.")
    part, following = page(
        [known[n] for n in dict.fromkeys(names) if n in known], params, limit=100
    )
    tags = "TAGS" in params.get("include", ())
    answer: Doc = {
        "capacityProviders": [shown(p) if tags else {**shown(p), "tags": []} for p in part],
        "failures": [missing(world.arn(f"capacity-provider/{n}")) for n in names if n not in known],
    }
    return answer | ({"nextToken": following} if following else {})


def _own(world: World, name: str) -> Doc:
    """Return one of Fargate's capacity providers, which every account has."""
    return {
        "capacityProviderArn": world.arn(f"capacity-provider/{name}"),
        "name": name,
        "status": "ACTIVE",
        "tags": [],
        "type": name,
    }


@operation("ecs", "UpdateCapacityProvider")
def update_capacity_provider(world: World, params: Params) -> Params:
    provider = _find(world, params["name"])
    if "managedInstancesProvider" in params or "autoScalingGroupProvider" not in params:
        raise client_error("The Auto Scaling group provider to change must be specified.")
    provider["autoScalingGroupProvider"] = _with_defaults(
        params["autoScalingGroupProvider"], provider["autoScalingGroupProvider"]
    )
    provider["updateStatus"] = "UPDATE_COMPLETE"
    world.capacity_providers.touch(provider["name"])
    return {"capacityProvider": shown(provider)}


@operation("ecs", "DeleteCapacityProvider")
def delete_capacity_provider(world: World, params: Params) -> Params:
    provider = _find(world, params["capacityProvider"])
    name = provider["name"]
    users = [
        c["clusterName"]
        for c in world.clusters.values()
        if name in c["capacityProviders"] and c["status"] == "ACTIVE"
    ]
    if users:
        raise client_error(
            "The specified capacity provider cannot be deleted because it is associated with "
            f"cluster: {', '.join(users)}. Remove the capacity provider from the cluster and try "
            "again."
        )
    provider |= {"status": "INACTIVE", "updateStatus": "DELETE_COMPLETE"}
    world.capacity_providers.touch(name)
    return {"capacityProvider": shown(provider)}


def _find(world: World, reference: str) -> Doc:
    name = name_of(reference)
    if is_fargate(name):
        raise client_error("The specified capacity provider is managed by AWS and stays as it is.")
    provider = world.capacity_providers.get(name)
    arn = reference if reference.startswith("arn:") else None
    if provider is None or arn not in (None, provider["capacityProviderArn"]):
        raise client_error(f"The specified capacity provider '{name}' was not found.")
    if provider["status"] != "ACTIVE":
        raise client_error(f"The specified capacity provider '{name}' is not active.")
    return provider


def check_known(world: World, names: Sequence[str]) -> None:
    """Raise InvalidParameterException for a capacity provider that does not exist."""
    for name in names:
        own = world.capacity_providers.get(name_of(name))
        if not is_fargate(name) and (own is None or own["status"] != "ACTIVE"):
            raise invalid_parameter(
                f"The specified capacity provider '{name}' was not found. Specify a valid name "
                "or ARN and try again."
            )


def check_strategy(world: World, strategy: Sequence[Doc], offered: Sequence[str]) -> None:
    """Raise InvalidParameterException for a strategy that a cluster cannot follow.

    `offered` are the capacity providers of the cluster.
    """
    names = [item["capacityProvider"] for item in strategy]
    check_known(world, names)
    if len(names) > _MAX_IN_STRATEGY:
        raise invalid_parameter("A capacity provider strategy can have at most 20 providers.")
    if len(set(names)) != len(names):
        raise invalid_parameter("A capacity provider can be named once in a strategy.")
    if len({is_fargate(name) for name in names}) > 1:
        raise invalid_parameter(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto "
            "Scaling groups and Fargate providers."
        )
    if any(name not in offered for name in names):
        raise invalid_parameter(
            "The specified capacity provider strategy cannot contain a capacity provider that is "
            "not associated with the cluster. Associate the capacity provider with the cluster "
            "and try again."
        )
    if any(not 0 <= i.get("weight", 0) <= 1000 for i in strategy) or any(
        not 0 <= i.get("base", 0) <= 100_000 for i in strategy
    ):
        raise invalid_parameter("weight must be between 0 and 1000, base between 0 and 100000.")
    if sum(item.get("base", 0) > 0 for item in strategy) > 1:
        raise invalid_parameter("Only one capacity provider of a strategy can have a base.")
    if len(strategy) > 1 and not any(item.get("weight", 0) for item in strategy):
        raise invalid_parameter(
            "At least one capacity provider of a strategy must have a weight greater than 0."
        )
