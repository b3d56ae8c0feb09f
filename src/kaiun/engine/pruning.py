"""What the engine forgets by itself, as AWS does: old tasks, deleted task definitions, …"""

from __future__ import annotations

from kaiun.engine.operations.ecr_policies import expire
from kaiun.engine.world import World

STOPPED_KEPT_S = 3600.0
HISTORY_KEPT_S = 30 * 86_400.0


def prune(world: World) -> None:
    """Forget what nobody can ask for any more."""
    _forget_tasks(world)
    _forget_definitions(world)
    _forget_histories(world)
    expire(world)


def _forget_tasks(world: World) -> None:
    now = world.now()
    for task in world.tasks.values():
        if task["lastStatus"] == "STOPPED" and now - task["stoppedAt"] > STOPPED_KEPT_S:
            if task["_"]["service"] and not task["_"]["settled"]:
                continue
            del world.tasks[task["_"]["id"]]


def _forget_histories(world: World) -> None:
    """Forget what happened to alarms that are long gone. Source: DescribeAlarmHistory: "CloudWatch
    retains the history of an alarm even if you delete the alarm", for 30 days."""
    oldest = world.now() - HISTORY_KEPT_S
    for name in list(world.alarm_histories):
        newest = world.alarm_histories[name]["items"][0]["Timestamp"]
        if newest < oldest and name not in world.metric_alarms:
            del world.alarm_histories[name]


def _forget_definitions(world: World) -> None:
    """Forget task definitions that were deleted, once nothing refers to them.

    Source: DeleteTaskDefinitions: "a task definition revision will stay in DELETE_IN_PROGRESS
    status until all the associated tasks and services have been terminated."
    """
    deleted = [
        arn
        for arn, definition in ((a, world.task_definitions[a]) for a in world.task_definitions)
        if definition["status"] == "DELETE_IN_PROGRESS"
    ]
    if not deleted:
        return
    used = _used(world)
    for arn in deleted:
        if arn not in used:
            del world.task_definitions[arn]


def _used(world: World) -> set[str]:
    """Return the ARNs of the task definitions that a task, a service or a rollback needs."""
    used = {task["taskDefinitionArn"] for task in world.tasks.values()}
    used |= {task_set["taskDefinition"] for task_set in world.task_sets.values()}
    for service in world.services.values():
        if service["status"] == "INACTIVE" or world.scheduled(service["serviceArn"]) is None:
            continue
        state = world.state(service["serviceArn"])
        deployments = (*state.deployments, state.last_completed)
        used |= {deployment.task_definition for deployment in deployments if deployment}
    return used
