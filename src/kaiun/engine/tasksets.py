"""Task sets as the loop sees them: each is scheduled as a service of one deployment would be.

A task set's own document holds its scheduler's state; its tasks name its ARN as their service. What
it shows, and what its service shows of it, is brought up to date here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.model import Action, Emit, ServiceStatus

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_OF_DEPLOYMENTS = "(deployment "  # events that services have and task sets have not


def sets_of(world: World, service_arn: str) -> list[Doc]:
    """Return the task sets of a service, oldest first."""
    return [s for s in world.task_sets.values() if s["serviceArn"] == service_arn]


def computed_count(service: Doc, scale: Doc) -> int:
    """Return how many tasks a task set is to have: always rounded up, as ECS says."""
    count: int = math.ceil(service["desiredCount"] * scale["value"] / 100)
    return count


def is_told(action: Action) -> bool:
    """Return whether an event is one that task sets have too."""
    return not isinstance(action, Emit) or _OF_DEPLOYMENTS not in action.text


def show_task_set(world: World, task_set: Doc) -> None:
    """Bring a task set's face, and its service's, in line; forget one that is gone."""
    arn = task_set["taskSetArn"]
    state = world.state(arn)
    if state.status is ServiceStatus.INACTIVE:
        world.forget_task_set(arn)
    else:
        _show(world, task_set, steady=state.steady)
    show_external(world, world.services[task_set["serviceArn"]])


def _show(world: World, task_set: Doc, *, steady: bool) -> None:
    running, pending = _counts(world.tasks_of(task_set["taskSetArn"]))
    stable = "STEADY_STATE" if steady else "STABILIZING"
    if stable != task_set["stabilityStatus"]:
        task_set |= {"stabilityStatus": stable, "stabilityStatusAt": world.now()}
    task_set |= {"runningCount": running, "pendingCount": pending}
    world.task_sets.touch(task_set["taskSetArn"])


def _counts(tasks: Iterable[Doc]) -> tuple[int, int]:
    """Return how many tasks run and how many are on their way to."""
    statuses = [task["lastStatus"] for task in tasks]
    return statuses.count("RUNNING"), sum(status in _PENDING for status in statuses)


def show_external(world: World, service: Doc) -> None:
    """Bring the face of a service with task sets in line; the last one gone, it is INACTIVE."""
    sets = sets_of(world, service["serviceArn"])
    service["runningCount"] = sum(s["runningCount"] for s in sets)
    service["pendingCount"] = sum(s["pendingCount"] for s in sets)
    if service["status"] == "DRAINING" and not sets:
        service["status"] = "INACTIVE"
    world.services.touch(service["serviceArn"])
