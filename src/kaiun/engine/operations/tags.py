"""Tags of ECS resources."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import check_tags, merge_tags
from kaiun.engine.protocol.errors import (
    ApiError,
    client_error,
    cluster_not_found,
    invalid_parameter,
)
from kaiun.engine.store import Doc, Table
from kaiun.engine.world import World


def _find(world: World, arn: str) -> tuple[Table, str, Doc]:
    """Return table, key and the dict that holds `tags`. Raises as ECS does."""
    kind, _, rest = "".join(arn.split(":", 5)[5:]).partition("/")
    if kind == "task-definition":
        definition = world.task_definitions.get(arn)
        if definition is None:
            raise client_error("Unable to describe task definition.")
        return world.task_definitions, arn, definition["_"]
    tables = {
        "cluster": (world.clusters, arn, cluster_not_found()),
        "service": (
            world.services,
            arn,
            ApiError("ServiceNotFoundException", "Service not found."),
        ),
        "task": (world.tasks, rest.rpartition("/")[2], _gone("task")),
        "task-set": (world.task_sets, arn, _gone("task set")),
        "capacity-provider": (world.capacity_providers, rest, _gone("capacity provider")),
        "container-instance": (world.instances, arn, _gone("container instance")),
    }
    if kind not in tables:
        raise invalid_parameter(f"Unable to parse ARN {arn}.")
    table, key, absent = tables[kind]
    found = table.get(key)
    if found is None:
        raise absent
    return table, key, found


def _gone(what: str) -> ApiError:
    return invalid_parameter(
        f"The specified {what} was not found. Specify a valid ARN and try again."
    )


@operation("ecs", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    table, key, holder = _find(world, params["resourceArn"])
    holder["tags"] = check_tags(merge_tags(holder["tags"], check_tags(params["tags"])))
    table.touch(key)
    return {}


@operation("ecs", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    table, key, holder = _find(world, params["resourceArn"])
    holder["tags"] = [t for t in holder["tags"] if t["key"] not in params["tagKeys"]]
    table.touch(key)
    return {}


@operation("ecs", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    return {"tags": _find(world, params["resourceArn"])[2]["tags"]}
