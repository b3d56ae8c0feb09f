"""Where a deployment that shifts traffic stands: its stage, its share, the hook it waits at. Pure.

Blue/green, linear and canary deployments bake and pause by design, for longer than any rolling one
may stand still. Source: ECS API reference, ServiceDeployment, DeploymentConfiguration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kaiun.aws.types import Service, ServiceDeployment
    from kaiun.deploy.rollout import Progress

_NOT_UP = {"RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP"}
_BAKES = (
    ("canaryConfiguration", "canaryBakeTimeInMinutes", 10),
    ("linearConfiguration", "stepBakeTimeInMinutes", 6),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """`hook` is the id of a PAUSE hook that waits for somebody; `waits`: of any open hook."""

    stage: str = ""
    percent: float = 0.0  # of the production traffic
    hook: str = ""
    waits: bool = False

    @property
    def proven(self) -> bool:
        """Whether the new tasks have all been healthy."""
        return bool(self.stage) and self.stage not in _NOT_UP

    def __str__(self) -> str:
        return f"{self.stage}, {self.percent:g} % of the traffic" if self.stage else ""


NOWHERE = Standing()


def arn_of(service: Service) -> str:
    """Return the service deployment to ask about; "" for a rolling one, which has no stages."""
    rules = service.get("deploymentConfiguration", {})
    if rules.get("strategy", "ROLLING") == "ROLLING":
        return ""
    return service.get("currentServiceDeployment", "")


def longest_bake_s(service: Service) -> float:
    """Return how long such a deployment may stand still at most without a hook."""
    rules = service.get("deploymentConfiguration", {})
    if rules.get("strategy", "ROLLING") == "ROLLING":
        return 0.0
    minutes = [cast("int", rules.get("bakeTimeInMinutes", 0))]
    for name, key, default in _BAKES:
        part = cast("Mapping[str, int] | None", rules.get(name))
        if part is not None:
            minutes.append(part.get(key, default))
    return 60.0 * max(minutes)


def read(deployment: ServiceDeployment) -> Standing:
    """Return where DescribeServiceDeployments says that a deployment stands."""
    hooks = deployment.get("lifecycleHookDetails", [])
    paused = [h.get("hookId", "") for h in hooks if h.get("status") == "AWAITING_ACTION"]
    revision = deployment.get("targetServiceRevision", {})
    return Standing(
        stage=deployment.get("lifecycleStage", ""),
        percent=revision.get("requestedProductionTrafficWeight", 0.0),
        hook=paused[0] if paused else "",
        waits=bool(paused) or any(h.get("status") == "IN_PROGRESS" for h in hooks),
    )


def placed(progress: Progress, standing: Standing, now: float) -> Progress:
    """Return the progress with where it stands; a new stage is movement, and so is waiting."""
    if progress.over:
        return progress
    moved = standing.waits or standing != progress.standing
    return replace(
        progress,
        standing=standing,
        healthy=progress.new if standing.proven else progress.healthy,
        changed_at=now if moved else progress.changed_at,
    )


def invitation(progress: Progress) -> str:
    """Return what to tell whoever can end the pause that a deployment is in."""
    follow, standing = progress.follow, progress.standing
    return (
        f"{follow.service} pauses at {standing}: aws ecs continue-service-deployment "
        f"--service-deployment-arn {follow.staged} --hook-id {standing.hook} "
        "--action CONTINUE (or ROLLBACK)"
    )
