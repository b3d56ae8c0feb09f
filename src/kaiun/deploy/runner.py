"""Carry out a plan, wave by wave. What happens goes to the listener; what fails, goes back.

Raises DeployFailed (everything runs what it ran before), DeployStuck (it does not) or Interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from kaiun.aws.client import parallel
from kaiun.deploy import failing, staged
from kaiun.deploy.diagnose import Examiner
from kaiun.deploy.events import Did, Listener, StageBegan, StageEnded
from kaiun.deploy.oneoff import OneOff
from kaiun.deploy.pace import Pace
from kaiun.deploy.perform import Made, perform, regroup_back
from kaiun.deploy.rollback import roll_back
from kaiun.deploy.rollout import Progress, Verdict, begin
from kaiun.deploy.touch import Touched, follow, followed, primary
from kaiun.deploy.watch import Watch
from kaiun.errors import AwsError, DeployFailed, Interrupted, KaiunError
from kaiun.plan.steps import (
    CreateService,
    PublishAssets,
    Ref,
    RunTask,
    UpdateService,
    UpdateTargetGroup,
    WaveName,
    request_of,
)

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.plan.live import Live
    from kaiun.plan.steps import Plan, Step, Wave

LOCAL_STEADY_S = 5.0
LOCAL_STUCK_S = 300.0
CLOCK_TOLERANCE_S = 2.0


class Choice(StrEnum):
    """What to do with a rollout that the user interrupted."""

    WAIT = "wait"
    ROLL_BACK = "roll back"
    LEAVE = "leave"


@dataclass(slots=True)
class Runner:
    """One run of one plan. `ask` is called on Ctrl-C while services roll.

    `publish` uploads assets and returns what was done, in words.
    """

    aws: Aws
    config: Config
    live: Live
    listener: Listener
    ask: Callable[[], Choice] = lambda: Choice.LEAVE
    publish: Callable[[PublishAssets], str] | None = None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    made: dict[Ref, str] = field(default_factory=dict)
    definitions: dict[str, Mapping[str, object]] = field(default_factory=dict)
    touched: list[Touched] = field(default_factory=list)
    regrouped: list[UpdateTargetGroup] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for definitions in self.live.task_definitions.values():
            self.definitions |= {d["taskDefinitionArn"]: d for d in definitions}

    def run(self, plan: Plan) -> None:
        """Carry the plan out; return when everything of it serves."""
        if plan.in_progress:
            with self.stage("rollouts under way"):
                self._take_up(plan.in_progress)
        for wave in plan.waves:
            with self.stage(wave.name):
                self._wave(wave)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Tell begin and end of a stage and note how long it took."""
        self.listener(StageBegan(name))
        began = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = time.monotonic() - began
            self.listener(StageEnded(name, self.stages[name]))

    def _wave(self, wave: Wave) -> None:
        if wave.name is WaveName.TASKS:
            for step in wave.steps:
                self._run_task(step)
        elif wave.name is WaveName.ASSETS:
            for step in wave.steps:
                self._publish(step)
        elif wave.name in {WaveName.NEEDED, WaveName.SERVICES}:
            self._services(wave.steps)
        else:
            self._side_by_side(wave.steps)

    def _side_by_side(self, steps: Sequence[Step]) -> None:
        def do(step: Step) -> Callable[[], Made]:
            return lambda: perform(self.aws, step, request_of(step, self.made))

        for done in parallel(do(step) for step in steps):
            self.listener(Did(done.what))
            if done.ref is not None:
                self.made[done.ref] = done.arn
            if done.definition is not None:
                self.definitions[done.arn] = done.definition
        self.regrouped += [step for step in steps if isinstance(step, UpdateTargetGroup)]

    def _publish(self, step: Step) -> None:
        assert isinstance(step, PublishAssets) and self.publish  # noqa: S101
        try:
            self.listener(Did(self.publish(step)))
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted while assets were published: nothing that runs was touched",
                hint="kaiun deploy goes on where this ended",
            ) from None
        except KaiunError as problem:
            raise failing.not_published(problem) from problem

    def _run_task(self, step: Step) -> None:
        assert isinstance(step, RunTask)  # noqa: S101
        request = request_of(step, self.made)
        definition = self.definitions[str(request["taskDefinition"])]
        oneoff = OneOff(
            self.aws,
            self.config.cluster,
            self.listener,
            sleep=self.sleep,
            settle_s=0.5 if self.aws.is_local else 5.0,
        )
        try:
            outcome = oneoff.run(step.name, request, definition, step.timeout_s)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted: task {step.name} was stopped, no service was touched after it",
                hint="kaiun deploy starts again",
            ) from None
        if not outcome.ok:
            updated = [item.service for item in self.touched]
            raise failing.task_failed(outcome, step.timeout_s, updated)
        self.listener(Did(f"task {step.name} ended with exit code 0"))

    def _services(self, steps: Sequence[Step]) -> None:
        def perform(step: Step) -> Callable[[], Touched]:
            return lambda: self._service(step)

        fresh = parallel(perform(step) for step in steps)
        self._set_clock(fresh)
        for item in fresh:
            verb = "updated" if item.before else "created"
            self.listener(Did(f"{verb} service {item.service}"))
        self._follow([begin(followed(self.config, item), item.after) for item in fresh])
        for item in fresh:
            if item.tags:
                self.aws.ecs.tag(item.after["serviceArn"], item.tags)

    def _set_clock(self, fresh: Sequence[Touched]) -> None:
        """Go by AWS's clock where ours is wrong: moments to come are told in its time."""
        made = [primary(i.after).get("createdAt") for i in fresh if _new_deployment(i)]
        skews = [at.timestamp() - self.clock() for at in made if at is not None]
        skew = max(skews, default=0.0)
        if abs(skew) > CLOCK_TOLERANCE_S:
            ours = self.clock
            self.clock = lambda: ours() + skew

    def _service(self, step: Step) -> Touched:
        assert isinstance(step, CreateService | UpdateService)  # noqa: S101
        request = request_of(step, self.made)
        if isinstance(step, CreateService):
            after, before, tags = self.aws.ecs.create_service(request), None, {}
        else:
            after = self.aws.ecs.update_service(request)
            before, tags = self.live.services[step.name], dict(step.tags)
        touched = Touched(step.name, step.service, request, before, after, tags)
        self.touched.append(touched)
        return touched

    def _take_up(self, processes: Sequence[str]) -> None:
        services = [(name, self.live.services[name]) for name in processes]
        self._follow([begin(follow(self.config, n, s), s) for n, s in services])

    def _follow(self, rollouts: Sequence[Progress]) -> None:
        examiner = self.examiner()
        watch = self.watch(examiner)
        while True:
            try:
                ended = watch.follow(rollouts)
                break
            except KeyboardInterrupt:
                rollouts = self._interrupted(watch.latest or tuple(rollouts))
        bad = [p for p in ended if p.over and p.verdict is not Verdict.DONE]
        if bad:
            self._failed(bad, examiner)

    def _interrupted(self, rollouts: Sequence[Progress]) -> Sequence[Progress]:
        choice = self.ask()
        if choice is Choice.ROLL_BACK:
            self._go_back(DeployFailed("interrupted by you"))
        if choice is Choice.LEAVE:
            raise failing.left(rollouts)
        return [replace(progress, new_events=()) for progress in rollouts]

    def _failed(self, bad: Sequence[Progress], examiner: Examiner) -> None:
        if any(p.verdict is Verdict.SUPERSEDED for p in bad):
            raise failing.superseded(bad)
        self._go_back(failing.why(bad, examiner))

    def _go_back(self, cause: DeployFailed) -> None:
        """Undo what this run did to services, then raise what says why and how it ended."""
        if not self.touched:
            raise failing.nothing_to_undo(cause)
        self.listener(failing.note(cause))
        with self.stage("rolling back"):
            watch = self.watch(self.examiner())
            try:
                for step in self.regrouped:
                    regroup_back(self.aws, step, self.live)
                    self.listener(Did(f"target group {step.name} is as it was"))
                back = roll_back(self.aws, self.config, self.touched, watch, self.listener)
            except KeyboardInterrupt:
                raise failing.left(watch.latest) from None
            except AwsError as problem:
                raise failing.no_way_back(cause, problem) from problem
        raise failing.ended(cause, back)

    def examiner(self) -> Examiner:
        return Examiner(self.aws, self.config.cluster, self.definitions, sleep=self.sleep)

    def watch(self, examiner: Examiner) -> Watch:
        cluster = self.config.cluster
        return Watch(
            fetch=lambda names: self.aws.ecs.describe_services(cluster, names),
            listener=self.listener,
            examine=examiner.examine,
            stages=self._stages,
            pace=Pace(steady_s=LOCAL_STEADY_S) if self.config.is_local else Pace(),
            stuck_s=LOCAL_STUCK_S if self.config.is_local else 900.0,
            clock=self.clock,
            sleep=self.sleep,
        )

    def _stages(self, arns: Sequence[str]) -> dict[str, staged.Standing]:
        found = self.aws.ecs.describe_service_deployments(arns)
        return {item["serviceDeploymentArn"]: staged.read(item) for item in found}


def _new_deployment(touched: Touched) -> bool:
    before = primary(touched.before) if touched.before else {}
    return before.get("id") != primary(touched.after).get("id")
