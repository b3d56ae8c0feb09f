"""What kaiun.yml wants for one release: every request, with `Ref` where an ARN is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.plan import balancing, names, service, taskdef
from kaiun.plan.balancing import ListenerSpec, TargetGroupSpec
from kaiun.plan.merge import Json
from kaiun.plan.steps import Kind, Ref, Release, RunTask
from kaiun.plan.taskdef import Place

if TYPE_CHECKING:
    from kaiun.config import Config
    from kaiun.plan.live import Wanted


@dataclass(frozen=True, slots=True)
class Desired:
    """By process or task name: task_definitions. By process name: services, counts, tags."""

    environment: str
    provision: bool
    release: Release
    wanted: Wanted
    task_definitions: Mapping[str, Json] = field(repr=False)
    services: Mapping[str, Json] = field(repr=False)
    tags: Mapping[str, Mapping[str, str]]
    target_groups: Mapping[str, TargetGroupSpec]
    load_balancer: Json | None
    listeners: tuple[ListenerSpec, ...]
    before: tuple[RunTask, ...]
    tags_of_all: Mapping[str, str] = field(default_factory=dict)
    hide: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def needed(self) -> frozenset[str]:
        """Return the processes that a before-deploy task needs."""
        return frozenset(name for task in self.before for name in task.needs)


def desired(config: Config, release: Release, place: Place | None = None) -> Desired:
    """Return what `config` wants for `release`. `place`: see taskdef.Place."""
    workloads = [*config.processes, *config.tasks]
    return Desired(
        environment=config.environment,
        provision=config.provision,
        release=release,
        wanted=names.wanted(config),
        task_definitions={name: taskdef.render(config, name, release, place) for name in workloads},
        services={name: service.render(config, name) for name in config.processes},
        tags={name: service.tags(config, name) for name in config.processes},
        target_groups=balancing.target_groups(config),
        load_balancer=balancing.load_balancer(config),
        listeners=tuple(balancing.listeners(config)),
        before=tuple(_before(config, name, release) for name in _before_deploy(config)),
        hide=place.hide if place else frozenset(),
        tags_of_all={"kaiun:app": config.app, "kaiun:environment": config.environment},
    )


def _before_deploy(config: Config) -> list[str]:
    return [name for name, task in config.tasks.items() if task.run == "before-deploy"]


def _before(config: Config, name: str, release: Release) -> RunTask:
    reference = Ref(Kind.TASK_DEFINITION, name)
    request = service.run_task(config, name, reference, started_by=f"kaiun/{release.id}")
    task = config.tasks[name]
    return RunTask(name, request, timeout_s=task.timeout, needs=tuple(task.needs))
