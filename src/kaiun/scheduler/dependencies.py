"""dependsOn: the order in which the containers of a task start, and stop in reverse.

Source: ContainerDependency, ContainerDefinition.startTimeout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaiun.scheduler.model import Health
from kaiun.scheduler.view import Condition, ContainerStatus, ContainerView, Dependency

_OVER = (ContainerStatus.EXITED, ContainerStatus.GONE)
_STARTED = (ContainerStatus.RUNNING, *_OVER)


def may_start(container: ContainerView, by_name: Mapping[str, ContainerView]) -> bool:
    """Return whether all that a container depends on is as it asks for."""
    return all(is_met(by_name[d.container], d.condition) for d in container.depends_on)


def may_stop(container: ContainerView, live: Sequence[ContainerView]) -> bool:
    """Return whether nothing that is still live depends on a container."""
    return not any(d.container == container.name for other in live for d in other.depends_on)


def is_met(container: ContainerView, condition: Condition) -> bool:
    """Return whether a container is in the condition that another one waits for."""
    match condition:
        case Condition.START:
            return container.status in _STARTED
        case Condition.COMPLETE:
            return container.status in _OVER
        case Condition.SUCCESS:
            return container.status in _OVER and container.exit_code == 0
        case Condition.HEALTHY:
            return container.status is ContainerStatus.RUNNING and (
                container.health is Health.HEALTHY
            )


def unmet(containers: Sequence[ContainerView], now: float) -> str | None:
    """Return why a container that has not started never will, None while there is hope."""
    by_name = {c.name: c for c in containers}
    for container in containers:
        if container.status in _STARTED:
            continue
        for dependency in container.depends_on:
            problem = _hopeless(by_name[dependency.container], dependency, now)
            if problem:
                return (
                    f"Container {container.name} cannot start: its dependency "
                    f"{dependency.container} ({dependency.condition}) {problem}"
                )
    return None


def next_timeout(containers: Sequence[ContainerView], now: float) -> float | None:
    """Return when the next startTimeout will be over, None where none is running."""
    ends = (
        c.started_at + c.start_timeout_s
        for c in containers
        if c.started_at is not None and c.start_timeout_s is not None
    )
    return min((end for end in ends if end > now), default=None)


def _hopeless(container: ContainerView, dependency: Dependency, now: float) -> str | None:
    if is_met(container, dependency.condition):
        return None
    if container.status in _OVER:
        return f"exited with code {container.exit_code}"
    timeout_s, since = container.start_timeout_s, container.started_at
    if timeout_s is not None and since is not None and now - since >= timeout_s:
        return f"was not ready within its startTimeout of {timeout_s:g} s"
    return None
