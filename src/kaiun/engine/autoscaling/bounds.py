"""The bounds of scalable targets: held when they are set, and set by scheduled actions."""

from __future__ import annotations

import math

from kaiun.engine.autoscaling.activities import begin, end, keep, service_of, set_capacity
from kaiun.engine.store import Doc
from kaiun.engine.world import World


def hold_bounds(world: World, target: Doc) -> None:
    """Bring a service within the bounds of its scalable target, which have just been set."""
    service = service_of(world, target["ResourceId"])
    if service is None:
        return
    low, high = target["MinCapacity"], target["MaxCapacity"]
    if service["desiredCount"] < low:
        set_capacity(world, target, low, f"minimum capacity was set to {low}")
    elif service["desiredCount"] > high:
        set_capacity(world, target, high, f"maximum capacity was set to {high}")


def act_on_schedule(world: World, entry: Doc) -> None:
    """Set the bounds that a scheduled action sets."""
    action = world.scheduled_actions.get(entry["arn"])
    target = world.scalable_targets.get(action["ResourceId"]) if action else None
    if action is None or target is None or target["SuspendedState"]["ScheduledScalingSuspended"]:
        return
    bounds = action["ScalableTargetAction"]
    target |= bounds
    target["MinCapacity"] = min(target["MinCapacity"], bounds.get("MaxCapacity", math.inf))
    target["MaxCapacity"] = max(target["MaxCapacity"], bounds.get("MinCapacity", 0))
    world.scalable_targets.touch(target["ResourceId"])
    named = (("min", "MinCapacity"), ("max", "MaxCapacity"))
    said = " and ".join(f"{word} capacity to {bounds[key]}" for word, key in named if key in bounds)
    activity = begin(world, target, f"Setting {said}", _by_schedule(action))
    end(world, activity, "Successful", f"Successfully set {said}")
    keep(world, activity)
    hold_bounds(world, target)


def _by_schedule(action: Doc) -> str:
    return f"scheduled action name {action['ScheduledActionName']} was triggered"
