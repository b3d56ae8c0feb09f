"""Scaling activities: what was done to a service's desired count, or why nothing was.

A change goes the way of UpdateService. Source: Application Auto Scaling user guide, "Scaling
activities for Application Auto Scaling".
"""

from __future__ import annotations

import uuid
from typing import Final

from kaiun.engine import dispatch
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scaling.decision import Decision, Held

ACTIVITIES: Final = 200  # of a scalable target that are kept
KEPT_S: Final = 42 * 86_400.0
DIMENSION: Final = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


def service_of(world: World, resource_id: str) -> Doc | None:
    """Return the service that a resource id names, if it is ACTIVE."""
    found = world.services.get(world.arn(resource_id))
    return found if found is not None and found["status"] == "ACTIVE" else None


def set_capacity(world: World, target: Doc, capacity: int, cause: str) -> str | None:
    """Have a service run so many tasks; return why it cannot."""
    resource = target["ResourceId"]
    _, cluster, name = resource.split("/")
    activity = begin(world, target, f"Setting desired count to {capacity}.", cause)
    settle(world)
    for other in activities_of(world, resource):
        if other["StatusCode"] == "InProgress":
            end(world, other, "Overridden", "A newer scaling activity took its place.")
    problem: str | None = None
    try:
        asked = {"cluster": cluster, "service": name, "desiredCount": capacity}
        dispatch.perform(world, "ecs", "UpdateService", asked)
    except ApiError as refusal:
        problem = f"Failed to set desired count to {capacity}. {refusal.message}"
        end(world, activity, "Failed", problem)
    else:
        activity["_"]["capacity"] = capacity
        activity["StatusMessage"] = (
            f"Successfully set desired count to {capacity}. Waiting for change to be fulfilled by "
            "ecs."
        )
    keep(world, activity)
    return problem


def settle(world: World) -> None:
    """End the activities whose services have got the tasks that they were to have."""
    for activity in world.scaling_activities.values():
        if activity["StatusCode"] != "InProgress":
            continue
        service, capacity = service_of(world, activity["ResourceId"]), activity["_"]["capacity"]
        if service is None:
            end(world, activity, "Failed", "The service is not active any more.")
        elif service["desiredCount"] != capacity:
            end(world, activity, "Overridden", "The desired count was set to another value.")
        elif service["runningCount"] == capacity and not service["pendingCount"]:
            text = f"Successfully set desired count to {capacity}. "
            end(world, activity, "Successful", f"{text}Change successfully fulfilled by ecs.")


def note_unscaled(world: World, target: Doc, decision: Decision, cause: str) -> None:
    """Remember that nothing was scaled, and why; once, as long as that stays so."""
    assert decision.held is not None  # noqa: S101  (something was scaled)
    reason: Doc = {"Code": decision.held.value}
    members = {Held.MAX: "MaxCapacity", Held.MIN: "MinCapacity", Held.DESIRED: "CurrentCapacity"}
    if member := members.get(decision.held):
        reason[member] = decision.capacity
    latest = next(iter(activities_of(world, target["ResourceId"])), None)
    known = latest and (latest["Cause"], latest.get("NotScaledReasons"))
    if known == (cause, [reason]):
        return
    activity = begin(world, target, "Attempting to scale due to alarm triggered", cause)
    activity["NotScaledReasons"] = [reason]
    end(world, activity, "Failed", "")
    keep(world, activity)


def activities_of(world: World, resource: str) -> list[Doc]:
    """Return the activities of a scalable target, newest first."""
    found = [a for a in world.scaling_activities.values() if a["ResourceId"] == resource]
    return found[::-1]


def begin(world: World, target: Doc, description: str, cause: str) -> Doc:
    return {
        "ActivityId": str(uuid.uuid4()),
        **DIMENSION,
        "ResourceId": target["ResourceId"],
        "Description": description,
        "Cause": cause,
        "StartTime": world.now(),
        "StatusCode": "InProgress",
        "_": {},
    }


def end(world: World, activity: Doc, status: str, message: str) -> None:
    activity |= {"StatusCode": status, "EndTime": world.now()}
    if message:
        activity["StatusMessage"] = message
    if activity["ActivityId"] in world.scaling_activities:
        world.scaling_activities.touch(activity["ActivityId"])


def keep(world: World, activity: Doc) -> None:
    world.scaling_activities[activity["ActivityId"]] = activity
    own = activities_of(world, activity["ResourceId"])
    oldest = world.now() - KEPT_S
    for place, old in enumerate(own):
        if place >= ACTIVITIES or old["StartTime"] < oldest:
            del world.scaling_activities[old["ActivityId"]]
