"""ExecuteCommand, and what it needs to be switched on."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import cluster_arn
from kaiun.engine.operations.tasks import find_task
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.sessions.sessions import stream_url
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_NOT_CONNECTED = "The execute command failed due to an internal error. Try again later."
_NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or "
    "the execute command agent isn’t running. Wait and try again or run a new task with execute "
    "command enabled and try again."
)


@operation("ecs", "ExecuteCommand")
def execute_command(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    if not params["interactive"]:
        raise invalid_parameter("Interactive is the only mode supported currently.")
    task = find_task(world, cluster, params["task"])
    if task is None:
        raise invalid_parameter("The referenced task was not found.")
    if not task["enableExecuteCommand"] or task["lastStatus"] != "RUNNING":
        raise invalid_parameter(_NOT_ENABLED)
    container = _container(task, params.get("container"))
    session = world.desk.make(task["_"]["id"], container["name"], params["command"])
    return {
        "clusterArn": cluster,
        "containerArn": container["containerArn"],
        "containerName": container["name"],
        "interactive": True,
        "session": {
            "sessionId": session.id,
            "streamUrl": stream_url(world.endpoint, session),
            "tokenValue": session.token,
        },
        "taskArn": task["taskArn"],
    }


def _container(task: Doc, name: str | None) -> Doc:
    """Return the container of that name, or the only one, which has to run."""
    containers: list[Doc] = task["containers"]
    if name is None and len(containers) > 1:
        raise invalid_parameter(
            "A container name must be specified: the task has more than one container."
        )
    found = next((c for c in containers if name in (None, c["name"])), None)
    if found is None:
        raise invalid_parameter(f"The container {name} was not found in the task.")
    if any(agent["lastStatus"] != "RUNNING" for agent in found["managedAgents"]):
        raise ApiError("TargetNotConnectedException", _NOT_CONNECTED)
    return found
