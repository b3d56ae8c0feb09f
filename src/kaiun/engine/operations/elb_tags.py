"""Tags of ELBv2 resources."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.elb_common import find, read_tags
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc, Table
from kaiun.engine.world import World

MAX_TAGS = 50


@operation("elasticloadbalancing", "AddTags")
def add_tags(world: World, params: Params) -> Params:
    found = [_find(world, arn) for arn in params["ResourceArns"]]
    new = read_tags(params)
    for table, doc, arn in found:
        if len(doc["_"]["tags"].keys() | new.keys()) > MAX_TAGS:
            raise ApiError("TooManyTags", f"'{arn}' would have more than {MAX_TAGS} tags")
        doc["_"]["tags"] |= new
        table.touch(arn)
    return {}


@operation("elasticloadbalancing", "RemoveTags")
def remove_tags(world: World, params: Params) -> Params:
    for table, doc, arn in [_find(world, arn) for arn in params["ResourceArns"]]:
        for key in params["TagKeys"]:
            doc["_"]["tags"].pop(key, None)
        table.touch(arn)
    return {}


@operation("elasticloadbalancing", "DescribeTags")
def describe_tags(world: World, params: Params) -> Params:
    found = [_find(world, arn) for arn in params["ResourceArns"]]
    return {
        "TagDescriptions": [
            {
                "ResourceArn": arn,
                "Tags": [{"Key": k, "Value": v} for k, v in doc["_"]["tags"].items()],
            }
            for _, doc, arn in found
        ]
    }


def _find(world: World, arn: str) -> tuple[Table, Doc, str]:
    kinds = {
        "loadbalancer": (world.load_balancers, "LoadBalancer", "Load balancer"),
        "targetgroup": (world.target_groups, "TargetGroup", "Target group"),
        "listener": (world.listeners, "Listener", "Listener"),
        "listener-rule": (world.rules, "Rule", "Rule"),
    }
    kind = arn.rpartition(":")[2].partition("/")[0]
    if kind not in kinds:
        raise ApiError("ValidationError", f"'{arn}' is not a valid ARN of a taggable resource")
    table, name, words = kinds[kind]
    return table, find(table, arn, name, words), arn
