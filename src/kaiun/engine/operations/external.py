"""Services whose deployments somebody else controls: made, scaled, taken down."""

from __future__ import annotations

from kaiun.engine.dispatch import Params
from kaiun.engine.operations import tasksets
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.tasksets import sets_of, show_external
from kaiun.engine.world import World

_CHANGEABLE = {  # by UpdateService; the rest belongs to task sets
    "cluster", "service", "desiredCount", "healthCheckGracePeriodSeconds", "enableExecuteCommand",
    "enableECSManagedTags", "propagateTags", "placementConstraints", "placementStrategy",
}  # fmt: skip
_OF_TASK_SETS = (
    "loadBalancers", "serviceRegistries", "networkConfiguration", "launchType",
    "capacityProviderStrategy", "platformVersion", "serviceConnectConfiguration",
)  # fmt: skip


def is_external(service: Doc) -> bool:
    """Return whether a service consists of task sets."""
    return bool(service["deploymentController"]["type"] == "EXTERNAL")


def check_external(params: Params) -> None:
    """Raise InvalidParameterException for what such a service cannot be created with."""
    if params.get("schedulingStrategy") == "DAEMON":
        raise invalid_parameter(
            "The DAEMON scheduling strategy is not supported with the EXTERNAL controller."
        )
    given = [name for name in _OF_TASK_SETS if params.get(name)]
    if given:
        raise invalid_parameter(
            f"{given[0]} cannot be specified for a service with the EXTERNAL deployment "
            "controller: it belongs to its task sets."
        )


def update(world: World, service: Doc, params: Params) -> None:
    """Change the service. Raises InvalidParameterException for what belongs to task sets."""
    if fixed := sorted(params.keys() - _CHANGEABLE):
        raise invalid_parameter(
            f"Unable to update {fixed[0]} on services with an EXTERNAL deployment controller. "
            "Use CreateTaskSet."
        )
    service |= {n: v for n, v in params.items() if n not in ("cluster", "service")}
    for task_set in sets_of(world, service["serviceArn"]):
        if task_set["status"] != "DRAINING":
            tasksets.rescale(world, service, task_set)
    world.services.touch(service["serviceArn"])


def delete(world: World, service: Doc, *, force: bool) -> None:
    """Take the service down with its task sets. Raises where `force` would be needed."""
    sets = sets_of(world, service["serviceArn"])
    if sets and not force:
        raise invalid_parameter("The service cannot be deleted while it has task sets.")
    service |= {"status": "DRAINING", "desiredCount": 0}
    for task_set in sets:
        tasksets.drain(world, task_set)
    show_external(world, service)


def with_task_sets(world: World, service: Doc) -> Doc:
    """Return a service's document with its task sets, as DescribeServices shows them."""
    if not is_external(service):
        return service
    sets = sets_of(world, service["serviceArn"])
    return {**service, "taskSets": [{k: v for k, v in s.items() if k != "_"} for s in sets]}
