"""The tasks of one deployment, seen as if it were a service of its own.

Blue and green do not share a maximum: each is kept at its own count, by the arithmetic of a
rolling update with nothing old in it but tasks whose container instance is DRAINING.
"""

from __future__ import annotations

from dataclasses import replace

from kaiun.scheduler.census import Census, Group
from kaiun.scheduler.model import Deployment, ServiceState, Task


def alone(service: ServiceState, deployment: Deployment, wanted: int) -> ServiceState:
    """Return the service as if it were this deployment, with so many tasks."""
    return replace(service, deployments=(deployment,), desired_count=wanted)


def of(census: Census, deployment_id: str) -> Census:
    """Return the census of one deployment's tasks."""
    return Census(
        new=_chosen(census, deployment_id, leaving=False),
        old=_chosen(census, deployment_id, leaving=True),
        stopping=[task for task in census.stopping if task.deployment_id == deployment_id],
        ended=[task for task in census.ended if task.deployment_id == deployment_id],
    )


def _chosen(census: Census, deployment_id: str, *, leaving: bool) -> Group:
    def own(new: list[Task], old: list[Task]) -> list[Task]:
        both = (*new, *old)
        return [t for t in both if t.deployment_id == deployment_id and t.leaving == leaving]

    new, old = census.new, census.old
    return Group(
        pending=own(new.pending, old.pending),
        waiting=own(new.waiting, old.waiting),
        healthy=own(new.healthy, old.healthy),
        unhealthy=own(new.unhealthy, old.unhealthy),
    )
