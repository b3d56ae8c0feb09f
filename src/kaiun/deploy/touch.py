"""What this run did to services, and from it: which deployments to follow, and how to go back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from kaiun.deploy.rollout import Follow

if TYPE_CHECKING:
    from kaiun.aws.types import Deployment, Service
    from kaiun.config import Config

Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Touched:
    """One service that this run created (`before` is None) or updated with `request`."""

    process: str
    service: str
    request: Request
    before: Service | None
    after: Service  # the answer of ECS
    tags: Mapping[str, str]  # to be set when the rollout is done


def primary(service: Service) -> Deployment:
    """Return the PRIMARY deployment; ECS always has one for a service that is not deleted."""
    deployments = service.get("deployments", [])
    nothing: Deployment = {}
    return next((d for d in deployments if d.get("status") == "PRIMARY"), nothing)


def follow(config: Config, process: str, service: Service) -> Follow:
    """Return what to follow: the deployment that is PRIMARY in an answer of ECS."""
    deployment = primary(service)
    created = deployment.get("createdAt")
    balanced = bool(service.get("loadBalancers"))
    settings = config.processes.get(process)
    rules = service.get("deploymentConfiguration", {})
    return Follow(
        process=process,
        service=service["serviceName"],
        deployment=deployment.get("id", ""),
        task_definition=deployment.get("taskDefinition", ""),
        created_at=created.timestamp() if created else 0.0,
        drain_s=float(settings.drain) if settings and balanced else 0.0,
        stop_timeout_s=float(settings.stop_timeout) if settings else 30.0,
        min_healthy_percent=cast("int", rules.get("minimumHealthyPercent", 100)),
    )


def followed(config: Config, touched: Touched) -> Follow:
    """Return what to follow after an update. A mere change of count makes no new deployment:
    then what happened before the update is none of our business."""
    found = follow(config, touched.process, touched.after)
    if touched.before is None or primary(touched.before).get("id") != found.deployment:
        return found
    told = [event["createdAt"].timestamp() for event in touched.before.get("events", [])]
    return replace(found, created_at=max([found.created_at, *(at + 0.001 for at in told)]))


def going_back(cluster: str, touched: Touched) -> dict[str, object]:
    """Return the UpdateService request that undoes an update: every field that it set."""
    before = cast("Mapping[str, object]", touched.before or {})
    undo = {key: before[key] for key in touched.request if key in before}
    definition = primary(touched.before or {}).get("taskDefinition") or before["taskDefinition"]
    return {
        **undo,
        "cluster": cluster,
        "service": touched.service,
        "taskDefinition": definition,
    }
