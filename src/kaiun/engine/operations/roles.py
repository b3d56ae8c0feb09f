"""ECS Exec needs a task role; ECS refuses what has none when it is switched on."""

from __future__ import annotations

from kaiun.engine.dispatch import Params
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc


def check_service_role(definition: Doc, params: Params, done: str) -> None:
    """Raise for a service with ECS Exec and no task role; `done` is "created" or "updated"."""
    if params.get("enableExecuteCommand") and not definition.get("taskRoleArn"):
        raise invalid_parameter(
            f"The service couldn't be {done} because a valid taskRoleArn is not being used. "
            "Specify a valid task role in your task definition and try again."
        )


def check_task_role(definition: Doc, params: Params) -> None:
    """Raise for a task with ECS Exec and no task role, overridden ones included."""
    role = params.get("overrides", {}).get("taskRoleArn") or definition.get("taskRoleArn")
    if params.get("enableExecuteCommand") and not role:
        raise invalid_parameter(
            "The execute command failed because a valid task role is not being used. Specify a "
            "valid task role in your task definition or as a task override and try again."
        )
