"""What many tests of the engine do: register, deploy, wait."""

from __future__ import annotations

from typing import Any

from tests.engine.conftest import until


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry.example/shop", "memory": 64, **fields}


def null(**labels: object) -> dict[str, str]:
    """Return docker labels for the null runtime."""
    return {f"kaiun.null.{name}": str(value) for name, value in labels.items()}


def register(ecs: Any, family: str, *containers: dict[str, Any], **fields: Any) -> str:
    answer = ecs.register_task_definition(
        family=family, containerDefinitions=list(containers) or [container()], **fields
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def describe(ecs: Any, cluster: str, service: str) -> dict[str, Any]:
    answer = ecs.describe_services(cluster=cluster, services=[service])
    found: dict[str, Any] = answer["services"][0]
    return found


def wait_rollout(ecs: Any, cluster: str, service: str, state: str = "COMPLETED") -> dict[str, Any]:
    """Return the service once it has one deployment, in this rollout state, and all its tasks."""

    def done() -> dict[str, Any] | None:
        found = describe(ecs, cluster, service)
        deployments = found["deployments"]
        settled = len(deployments) == 1 and deployments[0]["rolloutState"] == state
        counts = found["runningCount"] == found["desiredCount"] or state == "FAILED"
        return found if settled and counts and not found["pendingCount"] else None

    found = until(done)
    assert found is not None
    return found


def wait_stopped(ecs: Any, cluster: str, task: str) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        found: dict[str, Any] = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
        return found if found["lastStatus"] == "STOPPED" else None

    found = until(done)
    assert found is not None
    return found


def messages(service: dict[str, Any]) -> list[str]:
    """Return the service's events, oldest first."""
    return [event["message"] for event in reversed(service["events"])]
