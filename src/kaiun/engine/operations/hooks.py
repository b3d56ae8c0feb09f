"""ContinueServiceDeployment: a user's answer to a PAUSE hook."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.rollouts import find_deployment
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.world import World
from kaiun.scheduler import transition
from kaiun.scheduler.hooks import HookAnswer, HookStatus

_ANSWERS = {"CONTINUE": HookStatus.SUCCEEDED, "ROLLBACK": HookStatus.FAILED}


@operation("ecs", "ContinueServiceDeployment")
def continue_service_deployment(world: World, params: Params) -> Params:
    doc = find_deployment(world, params["serviceDeploymentArn"])
    arn, hook_id = doc["serviceArn"], params["hookId"]
    state = world.state(arn)
    shift = state.primary.shift
    own = doc["_"]["deployment"] == state.primary.id
    runs = shift.runs if shift is not None and own else ()
    run = next((run for run in runs if run.id == hook_id), None)
    if run is None or run.status is not HookStatus.AWAITING_ACTION:
        raise invalid_parameter(f"The lifecycle hook {hook_id} is not awaiting an action.")
    said = HookAnswer(_ANSWERS[params.get("action", "CONTINUE")])
    world.put_state(arn, transition.answer(state, hook_id, said, world.now()))
    world.wake_service(arn)
    return {"serviceDeploymentArn": params["serviceDeploymentArn"]}
