"""ECS's own events: when, and what they say.

Source: Amazon ECS developer guide, "Amazon ECS events" and the pages of its four detail types. All
functions are called at every change and do nothing where no rule can match.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kaiun.engine.store import Doc

if TYPE_CHECKING:
    from kaiun.engine.world import World

TASK: Final = "ECS Task State Change"
SERVICE: Final = "ECS Service Action"
DEPLOYMENT: Final = "ECS Deployment State Change"
INSTANCE: Final = "ECS Container Instance State Change"
_NOT_TOLD: Final = ("_", "tags", "healthStatus")
_ACTIONS: Final = (  # how a service event's text ends or goes on → type and name
    (" has reached a steady state.", "INFO", "SERVICE_STEADY_STATE"),
    (" consistently start tasks successfully.", "WARN", "SERVICE_TASK_START_IMPAIRED"),
    (" was unable to place a task because", "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"),
)


def iso(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text[:-3] + "Z"


def tell_task(world: World, task: Doc) -> None:
    """Tell of a task whose state, or whose containers' state, is another than was told last."""
    if not world.bus.wanted(TASK):
        return
    state = _state(task)
    if task["_"].get("told") == state:
        return
    task["_"]["told"] = state
    detail = {n: v for n, v in task.items() if n not in _NOT_TOLD}
    detail["updatedAt"] = world.now()
    world.bus.emit(TASK, [task["taskArn"]], _timed(detail))


def _state(task: Doc) -> list[str]:
    containers = [c["lastStatus"] for c in task["containers"]]
    return [task["lastStatus"], task["desiredStatus"], task["connectivity"], *containers]


def _timed(value: Any, name: str = "") -> Any:
    """Return a copy in which moments are texts, as events have them."""
    if isinstance(value, dict):
        return {key: _timed(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_timed(item) for item in value]
    return iso(value) if name.endswith("At") and isinstance(value, int | float) else value


def tell_service(world: World, service: Doc, text: str, reason: str) -> None:
    """Tell of a service what one of its events says, where ECS has an action for that."""
    if not world.bus.wanted(SERVICE):
        return
    for part, kind, name in _ACTIONS:
        if part in text:
            detail = {
                "eventType": kind,
                "eventName": name,
                "clusterArn": service["clusterArn"],
                "createdAt": iso(world.now()),
                **({"reason": reason} if reason else {}),
            }
            world.bus.emit(SERVICE, [service["serviceArn"]], detail)


def tell_deployments(world: World, service: Doc, before: list[Doc]) -> None:
    """Tell of the deployments whose state is another than `before`."""
    if not world.bus.wanted(DEPLOYMENT):
        return
    known = {deployment["id"]: deployment["rolloutState"] for deployment in before}
    for deployment in service["deployments"]:
        state = deployment["rolloutState"]
        if known.get(deployment["id"]) != state:
            detail = {
                "eventType": "ERROR" if state == "FAILED" else "INFO",
                "eventName": f"SERVICE_DEPLOYMENT_{state}",
                "deploymentId": deployment["id"],
                "updatedAt": iso(world.now()),
                "reason": deployment["rolloutStateReason"],
            }
            world.bus.emit(DEPLOYMENT, [service["serviceArn"]], detail)


def note_instance(world: World, arn: str) -> None:
    """Have it told, at the end of the turn and once, that an instance has changed."""
    if world.bus.wanted(INSTANCE):
        world.changed_instances[arn] = None


def tell_instance(world: World, cluster: str, view: Doc) -> None:
    detail = {n: v for n, v in view.items() if n != "tags"}
    detail |= {"clusterArn": cluster, "updatedAt": world.now()}
    world.bus.emit(INSTANCE, [view["containerInstanceArn"]], _timed(detail))
