"""Task scale-in protection: tasks that no scale-in and no deployment stops.

Source: UpdateTaskProtection; developer guide, "Protect your ECS tasks from being terminated".
"""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import cluster_arn, missing
from kaiun.engine.operations.tasks import find_task, touch
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_MAX_UPDATED = 10
_MAX_SHOWN = 100
_LONGEST_MIN = 2880
_DEFAULT_MIN = 120


@operation("ecs", "UpdateTaskProtection")
def update_task_protection(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    minutes = params.get("expiresInMinutes", _DEFAULT_MIN)
    if not 1 <= minutes <= _LONGEST_MIN:
        raise invalid_parameter("expiresInMinutes must be between 1 and 2880.")
    until = world.now() + minutes * 60 if params["protectionEnabled"] else None
    tasks, failures = _valid(world, cluster, params["tasks"], _MAX_UPDATED)
    for task in tasks:
        task["_"]["protected_until"] = until
        touch(world, task)
        world.wake_service(task["_"]["service"])
    return {"protectedTasks": [_view(world, t) for t in tasks], "failures": failures}


@operation("ecs", "GetTaskProtection")
def get_task_protection(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params["cluster"])
    references = params.get("tasks")
    if references:
        tasks, failures = _valid(world, cluster, references, _MAX_SHOWN)
    else:
        own = [t for t in world.tasks.values() if t["clusterArn"] == cluster]
        tasks, failures = [t for t in own if _why_not(t) is None][:_MAX_SHOWN], []
    return {"protectedTasks": [_view(world, t) for t in tasks], "failures": failures}


def _valid(
    world: World, cluster: str, references: list[str], limit: int
) -> tuple[list[Doc], list[Doc]]:
    """Return the tasks that can be protected, and why the others cannot."""
    if not references:
        raise invalid_parameter("Tasks cannot be empty.")
    if len(references) > limit:
        raise invalid_parameter(f"Tasks cannot have more than {limit} entries.")
    tasks, failures = [], []
    for reference in references:
        task = find_task(world, cluster, reference)
        if task is None:
            arn = world.arn(f"task/{name_of(cluster)}/{name_of(reference)}")
            failures.append(missing(reference if reference.startswith("arn:") else arn))
        elif detail := _why_not(task):
            failures.append({"arn": task["taskArn"], "reason": "TASK_NOT_VALID", "detail": detail})
        else:
            tasks.append(task)
    return tasks, failures


def _why_not(task: Doc) -> str | None:
    if task["_"]["service"] is None:
        return "The specified task is not part of a service."
    if task["desiredStatus"] == "STOPPED":
        return "The specified task is stopping or stopped."
    return None


def _view(world: World, task: Doc) -> Doc:
    until = protected_until(task)
    if until is None or until <= world.now():
        return {"taskArn": task["taskArn"], "protectionEnabled": False}
    return {"taskArn": task["taskArn"], "protectionEnabled": True, "expirationDate": until}


def protected_until(task: Doc) -> float | None:
    """Return when a task's protection ends, None where it has none."""
    until: float | None = task["_"].get("protected_until")
    return until
