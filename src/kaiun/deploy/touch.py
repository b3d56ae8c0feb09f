"""What this run did to services, and from it: which deployments to follow, and how to go back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kaiun.deploy import staged
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


def follow(
    config: Config, process: str, service: Service, *, known: Service | None = None
) -> Follow:
    """Return what to follow: the deployment that is PRIMARY in an answer of ECS.

    Where that deployment existed before, in `known`, what had happened to it by then is none of
    our business.
    """
    deployment = primary(service)
    created = deployment.get("createdAt")
    told = [e["createdAt"].timestamp() + 0.001 for e in (known or {}).get("events", [])]
    balanced = bool(service.get("loadBalancers"))
    settings = config.processes.get(process)
    rules = service.get("deploymentConfiguration", {})
    return Follow(
        process=process,
        service=service["serviceName"],
        deployment=deployment.get("id", ""),
        task_definition=deployment.get("taskDefinition", ""),
        created_at=max([created.timestamp() if created else 0.0, *told]),
        drain_s=float(settings.drain) if settings and balanced else 0.0,
        stop_timeout_s=float(settings.stop_timeout) if settings else 30.0,
        min_healthy_percent=cast("int", rules.get("minimumHealthyPercent", 100)),
        staged=staged.arn_of(service),
        bake_s=staged.longest_bake_s(service),
    )


def followed(config: Config, touched: Touched) -> Follow:
    """Return what to follow after an update; a mere change of count makes no new deployment."""
    before = touched.before
    same = before is not None and primary(before).get("id") == primary(touched.after).get("id")
    return follow(config, touched.process, touched.after, known=before if same else None)


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
