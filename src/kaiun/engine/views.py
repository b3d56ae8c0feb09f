"""Documents as the scheduler sees them: model.Task, and the service's API face from its state."""

from __future__ import annotations

import uuid
from collections import Counter

from kaiun.engine.codec import decode
from kaiun.engine.eventbus.ecs_events import tell_deployments, tell_service
from kaiun.engine.shift_view import by_revision, show_lifecycle, weight_members
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler import shifting
from kaiun.scheduler.model import (
    Breaker,
    Deployment,
    Health,
    RolloutState,
    ServiceState,
    StopCode,
    Target,
    TargetState,
    Task,
    TaskStatus,
    ThresholdKind,
)
from kaiun.scheduler.target import TargetHealth, attached

MAX_EVENTS = 100
_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")


def target_key(target_group_arn: str, target_id: str, port: int) -> str:
    return f"{target_group_arn} {target_id}:{port}"


def health_of(registration: Doc) -> TargetHealth:
    """Return the health of a target: one that passed is still INITIAL until requests reach it."""
    health = decode(TargetHealth, registration["health"])
    if health.state is TargetState.HEALTHY and not registration.get("placed", True):
        return attached(TargetHealth())
    return health


def targets_of(world: World, task: Doc) -> tuple[Target, ...]:
    """Return the registrations of a task that are not drained yet."""
    found = []
    for key in task["_"]["targets"]:
        target = world.targets.get(key)
        if target is not None and target["task"] == task["_"]["id"]:
            health = health_of(target)
            found.append(
                Target(
                    target_group_arn=target["target_group"],
                    port=target["port"],
                    state=health.state,
                    reason=health.reason,
                    description=health.description,
                )
            )
    return tuple(found)


def task_view(world: World, task: Doc) -> Task:
    """Return a task as `reconcile` sees it."""
    own = task["_"]
    code = task.get("stopCode")
    instance = world.instances.get(task.get("containerInstanceArn", ""))
    return Task(
        id=own["id"],
        deployment_id=own["deployment"],
        last_status=TaskStatus(task["lastStatus"]),
        desired_status=TaskStatus(task["desiredStatus"]),
        health=Health(task["healthStatus"]),
        targets=targets_of(world, task),
        created_at=task["createdAt"],
        running_since=task.get("startedAt"),
        stop_code=StopCode(code) if code else None,
        stopped_reason=task.get("stoppedReason", ""),
        was_healthy=own["was_healthy"],
        settled=own["settled"],
        leaving=instance is not None and instance["status"] == "DRAINING",
        protected=(own.get("protected_until") or 0) > world.now(),
        instance=task.get("containerInstanceArn", ""),
        zone=task["availabilityZone"],
    )


def breaker_of(configuration: Doc) -> Breaker:
    """Return the circuit breaker of a deploymentConfiguration."""
    breaker = configuration.get("deploymentCircuitBreaker", {})
    threshold = breaker.get("thresholdConfiguration", {"type": "BOUNDED_PERCENT", "value": 50})
    return Breaker(
        enable=breaker.get("enable", False),
        rollback=breaker.get("rollback", False),
        kind=ThresholdKind(threshold["type"]),
        value=threshold["value"],
        reset_on_healthy_task=breaker.get("resetOnHealthyTask", True),
    )


def add_event(world: World, service: Doc, text: str, reason: str = "") -> None:
    """Put an event in front; 100 are kept. `reason`: why a task was not placed."""
    event = {"id": str(uuid.uuid4()), "createdAt": world.now(), "message": text}
    service["events"].insert(0, event)
    del service["events"][MAX_EVENTS:]
    world.services.touch(service["serviceArn"])
    tell_service(world, service, text, reason)


def show_state(world: World, arn: str) -> None:
    """Bring the API's face of a service in line with its state and its tasks."""
    service, state = world.services[arn], world.state(arn)
    tasks = world.tasks_of(arn)
    running = Counter(t["_"]["deployment"] for t in tasks if t["lastStatus"] == "RUNNING")
    pending = Counter(t["_"]["deployment"] for t in tasks if t["lastStatus"] in _PENDING)
    staying = Counter(t["_"]["deployment"] for t in tasks if t["desiredStatus"] == "RUNNING")
    service["status"] = state.status.value
    service["desiredCount"] = state.desired_count
    service["runningCount"] = running.total()
    service["pendingCount"] = pending.total()
    before = service["deployments"]
    service["deployments"] = [
        {
            "id": d.id,
            "status": d.status.value,
            "taskDefinition": d.task_definition,
            "desiredCount": state.desired_count if d is state.primary else staying[d.id],
            "pendingCount": pending[d.id],
            "runningCount": running[d.id],
            "failedTasks": d.failed_tasks,
            "createdAt": d.created_at,
            "updatedAt": d.updated_at,
            **service["_"]["deployments"][d.id],
            "rolloutState": d.rollout_state.value,
            "rolloutStateReason": d.rollout_state_reason,
        }
        for d in state.deployments
    ]
    tell_deployments(world, service, before)
    if state.status.value == "INACTIVE":
        service["deployments"] = []
    service["taskDefinition"] = state.primary.task_definition
    _show_service_deployments(world, service, state, running, pending)
    world.services.touch(arn)


def _show_service_deployments(
    world: World, service: Doc, state: ServiceState, running: Counter[str], pending: Counter[str]
) -> None:
    listed = {d.id: d for d in state.deployments}
    for arn in service["_"]["open"]:
        doc = world.deployments[arn]
        status, reason = _progress(listed.get(doc["_"]["deployment"]), doc, state)
        target = doc["targetServiceRevision"]
        own = doc["_"]["deployment"]
        target["requestedTaskCount"] = state.desired_count
        target["runningTaskCount"] = running[own]
        target["pendingTaskCount"] = pending[own]
        if status != doc["status"]:
            doc["status"], doc["statusReason"] = status, reason
            doc["updatedAt"] = world.now()
            _note_times(world, doc, status, state)
        doc["deploymentCircuitBreaker"] = _breaker_face(state, listed.get(own), doc)
        _show_alarms(doc)
        show_lifecycle(service, state, doc)
        world.deployments.touch(arn)
    service["_"]["open"] = [
        a for a in service["_"]["open"] if "finishedAt" not in world.deployments[a]
    ]
    service["currentServiceRevisions"] = [
        _revision(service, state, d, running, pending)
        for d in state.deployments
        if d.id in service["_"]["revisions"]
    ]


def _revision(
    service: Doc,
    state: ServiceState,
    deployment: Deployment,
    running: Counter[str],
    pending: Counter[str],
) -> Doc:
    """Return a ServiceRevisionSummary."""
    arn = service["_"]["revisions"][deployment.id]
    shift = state.primary.shift
    if shift is not None:
        wanted = shifting.wanted(state, deployment.id)
    else:
        wanted = state.desired_count if deployment is state.primary else 0
    face = {
        "arn": arn,
        "requestedTaskCount": wanted,
        "runningTaskCount": running[deployment.id],
        "pendingTaskCount": pending[deployment.id],
    }
    if service["deploymentConfiguration"]["strategy"] != "ROLLING":
        face |= weight_members(by_revision(service, shifting.shares(state)), arn)
    return face


def _show_alarms(doc: Doc) -> None:
    """Show what the alarms of a service deployment have said."""
    alarms = doc["deploymentConfiguration"].get("alarms", {})
    triggered = doc["_"].get("triggered")
    if triggered is None:
        return  # not looked at
    watching = "MONITORING_COMPLETE" if "finishedAt" in doc else "MONITORING"
    doc["alarms"] = {
        "status": "TRIGGERED" if triggered else watching,
        "alarmNames": alarms.get("alarmNames", []),
        "triggeredAlarmNames": triggered,
    }


def rollback_progress(doc: Doc, primary: Deployment) -> tuple[str, str]:
    """Return the status of a service deployment that was being rolled back, and why."""
    if primary.rolled_back_to and primary.rollout_state is RolloutState.FAILED:
        return "ROLLBACK_FAILED", primary.rollout_state_reason
    if primary.rolled_back_to:
        return "ROLLBACK_IN_PROGRESS", doc.get("statusReason", "")
    if primary.rollout_state is RolloutState.COMPLETED:
        return "ROLLBACK_SUCCESSFUL", "Service deployment rolled back."
    return "STOPPED", "Service deployment stopped because a new service deployment started."


def _progress(deployment: Deployment | None, doc: Doc, state: ServiceState) -> tuple[str, str]:
    """Return the status of a service deployment, and why."""
    primary = state.primary
    if doc["status"] in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_REQUESTED"):
        return rollback_progress(doc, primary)
    if deployment is not None and deployment.rollout_state is RolloutState.FAILED:
        if primary.rolled_back_to:
            return "ROLLBACK_IN_PROGRESS", deployment.rollout_state_reason
        return "STOPPED", deployment.rollout_state_reason
    if deployment is not None and deployment.rollout_state is RolloutState.COMPLETED:
        return "SUCCESSFUL", deployment.rollout_state_reason
    if deployment is primary:
        return "IN_PROGRESS", ""
    return "STOPPED", "Service deployment stopped because a new service deployment started."


_TERMINAL = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")


def _note_times(world: World, doc: Doc, status: str, state: ServiceState) -> None:
    if status in _TERMINAL:
        doc["finishedAt"] = world.now()
    if status == "STOPPED":
        doc["stoppedAt"] = world.now()
    if status == "ROLLBACK_IN_PROGRESS":
        service = world.services[doc["serviceArn"]]
        doc["rollback"] = {
            "reason": doc["statusReason"],
            "startedAt": world.now(),
            "serviceRevisionArn": service["_"]["revisions"].get(state.primary.id, ""),
        }


def _breaker_face(state: ServiceState, deployment: Deployment | None, doc: Doc) -> Doc:
    from kaiun.scheduler.breaker import threshold

    before: Doc = doc.get("deploymentCircuitBreaker", {"failureCount": 0})
    failures = deployment.failed_tasks if deployment else before["failureCount"]
    limit = threshold(state.breaker, state.desired_count)
    if not state.breaker.enable:
        return {"status": "DISABLED", "failureCount": failures, "threshold": limit}
    tripped = doc["status"].startswith("ROLLBACK") or before.get("status") == "TRIGGERED"
    if deployment is not None and deployment.rollout_state is RolloutState.FAILED:
        tripped = True
    done = "finishedAt" in doc and not tripped
    status = "TRIGGERED" if tripped else "MONITORING_COMPLETE" if done else "MONITORING"
    return {"status": status, "failureCount": failures, "threshold": limit}
