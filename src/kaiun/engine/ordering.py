"""What the tasks of a service, or of a task set, are to be made of."""

from __future__ import annotations

from kaiun.engine import traffic
from kaiun.engine.operations.common import managed_tags, merge_tags
from kaiun.engine.operations.making import Order
from kaiun.engine.operations.service_config import aliases
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.model import Deployment


def order_of(world: World, arn: str, deployment: Deployment) -> Order:
    """Return the order for tasks of a deployment; `arn` is that of a service or a task set."""
    task_set = world.task_sets.get(arn)
    if task_set is not None:
        return _of_task_set(world, task_set)
    service = world.services[arn]
    definition = world.task_definitions[deployment.task_definition]
    members = service["_"]["deployments"][deployment.id]
    revision = world.revisions[service["_"]["revisions"][deployment.id]]
    return Order(
        cluster=service["clusterArn"],
        definition=definition,
        group=f"service:{service['serviceName']}",
        launch_type=members.get("launchType", "EC2"),
        started_by=deployment.id,
        service=arn,
        deployment=deployment.id,
        network=members.get("networkConfiguration", {}).get("awsvpcConfiguration"),
        tags=_tags(service, definition),
        execute_command=service["enableExecuteCommand"],
        providers=members.get("capacityProviderStrategy", ()),
        daemon=service["schedulingStrategy"] == "DAEMON",
        aliases=aliases(members),
        registries=_registries(service),
        constraints=service["placementConstraints"],
        strategies=service["placementStrategy"],
        load_balancers=traffic.load_balancers(revision),
    )


def _of_task_set(world: World, task_set: Doc) -> Order:
    service = world.services[task_set["serviceArn"]]
    definition = world.task_definitions[task_set["taskDefinition"]]
    return Order(
        cluster=task_set["clusterArn"],
        definition=definition,
        group=f"service:{service['serviceName']}",
        launch_type=task_set.get("launchType", "EC2"),
        started_by=task_set["id"],
        service=task_set["taskSetArn"],
        deployment=task_set["id"],
        network=task_set.get("networkConfiguration", {}).get("awsvpcConfiguration"),
        tags=_tags(service, definition),
        execute_command=service["enableExecuteCommand"],
        providers=task_set.get("capacityProviderStrategy", ()),
        constraints=service["placementConstraints"],
        strategies=service["placementStrategy"],
        load_balancers=task_set["loadBalancers"],
        registries=_registries(task_set),
    )


def _registries(doc: Doc) -> list[Doc]:
    return [r for r in doc["serviceRegistries"] if "registryArn" in r]


def _tags(service: Doc, definition: Doc) -> list[Doc]:
    """Return the tags of a service's tasks: those that are propagated, and ECS's own."""
    sources = {"SERVICE": service["tags"], "TASK_DEFINITION": definition["_"]["tags"]}
    own = sources.get(service["propagateTags"], [])
    if not service["enableECSManagedTags"]:
        return list(own)
    return merge_tags(own, managed_tags(service["clusterArn"], service["serviceName"]))
