"""The way of a deployment that shifts traffic: which stages it goes through, with which weights.

Blue is the revision that has the traffic, green the one that is to get it. Sources:
ServiceDeploymentLifecycleStage, DeploymentConfiguration.strategy, LinearConfiguration,
CanaryConfiguration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from kaiun.scheduler import hooks
from kaiun.scheduler.hooks import Hook, HookKind, HookRun


class Strategy(StrEnum):
    """DeploymentConfiguration.strategy."""

    ROLLING = "ROLLING"
    BLUE_GREEN = "BLUE_GREEN"
    LINEAR = "LINEAR"
    CANARY = "CANARY"


class Stage(StrEnum):
    """ServiceDeployment.lifecycleStage. Its prose, unlike its enum, has PRE_PRODUCTION_…"""

    RECONCILE_SERVICE = "RECONCILE_SERVICE"
    PRE_SCALE_UP = "PRE_SCALE_UP"
    SCALE_UP = "SCALE_UP"
    POST_SCALE_UP = "POST_SCALE_UP"
    TEST_TRAFFIC_SHIFT = "TEST_TRAFFIC_SHIFT"
    POST_TEST_TRAFFIC_SHIFT = "POST_TEST_TRAFFIC_SHIFT"
    PRE_PRODUCTION_TRAFFIC_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
    PRODUCTION_TRAFFIC_SHIFT = "PRODUCTION_TRAFFIC_SHIFT"
    POST_PRODUCTION_TRAFFIC_SHIFT = "POST_PRODUCTION_TRAFFIC_SHIFT"
    BAKE_TIME = "BAKE_TIME"
    CLEAN_UP = "CLEAN_UP"


@dataclass(frozen=True, slots=True)
class Early:
    """DeploymentEarlySuccessCriteria. `deferred`: old tasks may still be there at the end."""

    healthy_percent: int
    deferred: bool


@dataclass(frozen=True, slots=True)
class Procedure:
    """How a deployment goes: what deploymentConfiguration says beside limits and breaker."""

    strategy: Strategy = Strategy.ROLLING
    percent: float = 100.0  # canaryPercent, stepPercent
    step_bake_s: float = 0.0  # canaryBakeTimeInMinutes, stepBakeTimeInMinutes
    bake_s: float = 0.0  # bakeTimeInMinutes
    hooks: tuple[Hook, ...] = ()
    early: Early | None = None  # with ROLLING only


ROLLING = Procedure()


@dataclass(frozen=True, slots=True)
class Step:
    """A stage, and green's share of the traffic, in percent, from its beginning on."""

    stage: Stage
    production: float = 0.0
    test: float = 0.0
    bake_s: float = 0.0  # how long it lasts once its work is done


@dataclass(frozen=True, slots=True)
class Shift:
    """Where a deployment is on its way.

    `source_id` is the deployment that has what is not green's; None where there is none. `back`
    is the way of a rollback: then the deployment is the one that is returned to, and the source
    the one that failed.
    """

    steps: tuple[Step, ...]
    hooks: tuple[Hook, ...] = ()
    source_id: str | None = None
    back: bool = False
    at: int = 0
    runs: tuple[HookRun, ...] = ()  # the hooks of this stage
    told: bool = False  # the load balancer was told this step's weights …
    placed: bool = False  # … and has them
    baking_since: float | None = None  # the stage's work is done

    @property
    def step(self) -> Step:
        return self.steps[self.at]

    @property
    def stage(self) -> Stage:
        return self.steps[self.at].stage

    @property
    def is_last(self) -> bool:
        return self.at == len(self.steps) - 1

    @property
    def baked_at(self) -> float | None:
        """Return when the stage is over, once that depends on time alone."""
        return None if self.baking_since is None else self.baking_since + self.step.bake_s


def forward(
    procedure: Procedure, deployment_id: str, source_id: str | None, now: float, *, several: bool
) -> Shift:
    """Return the way of a new deployment, at its beginning.

    `several`: more than one older revision has tasks, so that the service has to be reconciled.
    """
    first = (Step(Stage.RECONCILE_SERVICE),) if several else ()
    start = (*first, *map(Step, (Stage.PRE_SCALE_UP, Stage.SCALE_UP, Stage.POST_SCALE_UP)))
    if source_id is None:  # nobody else could answer, so it has all traffic from the start
        start = tuple(replace(step, production=100.0, test=100.0) for step in start)
    steps = (*start, *_shifting(procedure, alone=source_id is None))
    begun = Shift(steps=steps, hooks=procedure.hooks, source_id=source_id)
    return _entered(begun, deployment_id, now)


def backward(failed: Shift, deployment_id: str, failed_id: str, now: float) -> Shift:
    """Return the way back to the deployment that `failed` was to replace.

    Only the hooks of the traffic shifts run on it. Source: developer guide, lifecycle hooks.
    """
    steps = (
        Step(Stage.SCALE_UP, 100.0 - failed.step.production, 100.0 - failed.step.test),
        Step(Stage.PRODUCTION_TRAFFIC_SHIFT, 100.0, 100.0 - failed.step.test),
        Step(Stage.TEST_TRAFFIC_SHIFT, 100.0, 100.0),
        Step(Stage.CLEAN_UP, 100.0, 100.0),
    )
    functions = tuple(hook for hook in failed.hooks if hook.kind is HookKind.AWS_LAMBDA)
    begun = Shift(steps=steps, hooks=functions, source_id=failed_id, back=True)
    return _entered(begun, f"{failed_id}/{deployment_id}", now)


def following(shift: Shift, deployment_id: str, now: float) -> Shift:
    """Return the way one stage further."""
    after = replace(shift, at=shift.at + 1, told=False, placed=False, baking_since=None)
    return _entered(after, deployment_id, now)


def _entered(shift: Shift, place: str, now: float) -> Shift:
    runs = hooks.begin(shift.hooks, shift.stage, f"{place}/{shift.at}/{now}", now)
    return replace(shift, runs=runs)


def _shifting(procedure: Procedure, *, alone: bool) -> list[Step]:
    """Return the stages from the test traffic on; with nobody to shift from, at once."""
    steps = [
        Step(Stage.TEST_TRAFFIC_SHIFT, 0.0, 100.0),
        Step(Stage.POST_TEST_TRAFFIC_SHIFT, 0.0, 100.0),
    ]
    before = 0.0
    for weight in [100.0] if alone else _weights(procedure):
        bake_s = procedure.step_bake_s if weight < 100.0 else 0.0
        steps.append(Step(Stage.PRE_PRODUCTION_TRAFFIC_SHIFT, before, 100.0))
        steps.append(Step(Stage.PRODUCTION_TRAFFIC_SHIFT, weight, 100.0, bake_s))
        before = weight
    steps.append(Step(Stage.POST_PRODUCTION_TRAFFIC_SHIFT, 100.0, 100.0))
    bake_s = 0.0 if alone else procedure.bake_s
    steps.append(Step(Stage.BAKE_TIME, 100.0, 100.0, bake_s))
    steps.append(Step(Stage.CLEAN_UP, 100.0, 100.0))
    if alone:
        steps = [replace(step, production=100.0) for step in steps]
    return steps


def _weights(procedure: Procedure) -> list[float]:
    """Return green's weights, one a step: 5, 100 of a canary; 30, 60, 90, 100 of a linear one."""
    if procedure.strategy is Strategy.BLUE_GREEN:
        return [100.0]
    if procedure.strategy is Strategy.CANARY:
        return [procedure.percent] if procedure.percent >= 100.0 else [procedure.percent, 100.0]
    steps = [round(procedure.percent * n, 1) for n in range(1, int(100.0 / procedure.percent) + 2)]
    return [*(weight for weight in steps if weight < 100.0), 100.0]
