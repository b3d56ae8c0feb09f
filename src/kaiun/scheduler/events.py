"""The texts that ECS writes: service events, rollout reasons, stop reasons.

Events without a task or target id in hand come from `reconcile`; `started`, `registered`,
`deregistered` and `draining` are emitted by whoever carried the action out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def _list(word: str, names: Sequence[str]) -> str:
    return " ".join(f"({word} {name})" for name in names)


def started(service: str, task_ids: Sequence[str]) -> str:
    tasks = _list("task", task_ids)
    return f"(service {service}) has started {len(task_ids)} tasks: {tasks}."


def stopped(service: str, task_ids: Sequence[str]) -> str:
    tasks = _list("task", task_ids)
    return f"(service {service}) has stopped {len(task_ids)} running tasks: {tasks}."


def registered(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) registered {count} targets in (target-group {target_group_arn})"


def deregistered(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) deregistered {count} targets in (target-group {target_group_arn})"


def draining(service: str, deployment_id: str, count: int) -> str:
    return (
        f"(service {service}, taskSet {deployment_id}) "
        f"has begun draining connections on {count} tasks."
    )


def completed(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment completed."


def failed(service: str, deployment_id: str, why: str = "tasks failed to start") -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment failed: {why}."


def rolling_back(service: str, deployment_id: str) -> str:
    return f"(service {service}) rolling back to deployment {deployment_id}."


def steady(service: str) -> str:
    return f"(service {service}) has reached a steady state."


def blocked(service: str) -> str:
    return (
        f"(service {service}) was unable to stop or start tasks during a deployment because of "
        "the service deployment configuration. Update the minimumHealthyPercent or "
        "maximumPercent value and try again."
    )


def unhealthy_target(service: str, port: int, target_group_arn: str, description: str) -> str:
    return (
        f"(service {service}) (port {port}) is unhealthy in (target-group {target_group_arn}) "
        f"due to (reason {description})."
    )


def unhealthy_container(service: str, task_id: str) -> str:
    return f"(service {service}) (task {task_id}) failed container health checks."


def unplaceable(service: str) -> str:
    return (
        f"(service {service}) was unable to place a task because no container instance met all "
        "of its requirements."
    )


def inconsistent(service: str) -> str:
    return f"(service {service}) is unable to consistently start tasks successfully."


def rollout_in_progress(deployment_id: str) -> str:
    return f"ECS deployment {deployment_id} in progress."


def rollout_completed(deployment_id: str) -> str:
    return f"ECS deployment {deployment_id} completed."


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a deployment failed, in the service's event and in the deployment's own reasons."""

    event: str
    reason: str
    back: str  # what begins the reason of the deployment that is rolled back to

    def rolling_back(self, deployment_id: str) -> str:
        return f"{self.back}: rolling back to deploymentId {deployment_id}."


ROLLOUT_FAILED = "ECS deployment circuit breaker: tasks failed to start."
BREAKER = Cause("tasks failed to start", ROLLOUT_FAILED, "ECS deployment circuit breaker")
ALARM = Cause("alarm detected", "ECS deployment failed: alarm detected.", "ECS deployment alarm")
USER = Cause(
    "stopped by the user", "Service deployment stopped by the user.", "ECS deployment stopped"
)


def hook_failed(stage: str, status: str) -> Cause:
    """Return the cause where a lifecycle hook ended a deployment; `status` is the hook's."""
    what = f"lifecycle hook {status} at {stage}"
    return Cause(what, f"ECS deployment failed: {what}.", "ECS deployment lifecycle hook")


def scaling_reason(deployment_id: str) -> str:
    return f"Scaling activity initiated by (deployment {deployment_id})"


def elb_reason(target_group_arn: str) -> str:
    return f"Task failed ELB health checks in (target-group {target_group_arn})"


CONTAINER_HEALTH_REASON = "Task failed container health checks"
ESSENTIAL_REASON = "Essential container in task exited"
