"""A world with a virtual clock in which the scheduler's actions become real.

Tasks take time to start, to become healthy, to drain and to stop, as the behaviour of their
task definition says. Every tick checks that the scheduler kept to its limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kaiun.scheduler import breaker, events
from kaiun.scheduler.hooks import HookAnswer, HookRun, HookStatus
from kaiun.scheduler.model import (
    Action,
    AskHook,
    ConfirmTask,
    Deployment,
    Emit,
    Health,
    ServiceState,
    SettleTask,
    ShiftTraffic,
    StartTasks,
    StopCode,
    StopTask,
    Target,
    TargetState,
    Task,
    TaskStatus,
)
from kaiun.scheduler.service import reconcile, unplaced
from kaiun.scheduler.stages import ROLLING, Procedure
from kaiun.scheduler.transition import answer, apply, deploy, drain, place, scale

GROUP = "arn:aws:elasticloadbalancing:local:000000000000:targetgroup/web/1"


A = TypeVar("A", bound=Action)


@dataclass(frozen=True)
class Behaviour:
    """How tasks of one task definition go. Times in seconds; None is never."""

    start_s: float = 2.0  # created → RUNNING
    fails_to_start: bool = False  # instead of RUNNING
    crashes_after_s: float | None = None  # after RUNNING
    healthy_after_s: float | None = 3.0  # after RUNNING; None: unhealthy after unhealthy_after_s
    unhealthy_after_s: float = 5.0
    drain_s: float = 4.0
    stop_s: float = 1.0
    has_load_balancer: bool = False
    has_health_check: bool = False


@dataclass
class World:
    """One service; `behaviours` by task definition."""

    desired_count: int = 2
    behaviours: dict[str, Behaviour] = field(default_factory=lambda: {"v1": Behaviour()})
    room: int | None = None  # how many tasks, also stopping ones, fit at once
    options: dict[str, object] = field(default_factory=dict)
    procedure: Procedure = ROLLING
    place_s: float = 1.0  # how long the load balancer takes for new weights
    replies: dict[str, list[HookAnswer]] = field(default_factory=dict)  # of functions, in turn

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.tasks: dict[str, Task] = {}
        self.stop_since: dict[str, float] = {}
        self.events: list[str] = []
        self.log: list[tuple[float, Action]] = []
        self.sick: set[str] = set()  # tasks that fail their checks from now on
        self.dying: set[str] = set()  # tasks whose essential container exits now
        self.doomed: set[str] = set()  # tasks that do not reach RUNNING
        self.doom: dict[str, int] = {}  # how many of the next tasks of a definition are doomed
        self.place_at: float | None = None
        self.calls: list[tuple[float, str, str]] = []  # of functions: when, which, at what stage
        self.returned: list[tuple[str, HookAnswer]] = []
        self.stages: list[str] = []
        self.deployments = 0
        first = self._deployment("v1")
        options = {"steady_s": 5.0, **self.options}
        empty = ServiceState("web", self.desired_count, (), **options)  # type: ignore[arg-type]
        self.service = deploy(empty, first, self.now)

    # what a user does

    def deploy(self, task_definition: str) -> str:
        new = self._deployment(task_definition)
        self.service = deploy(self.service, new, self.now)
        return new.id

    def scale(self, desired_count: int) -> None:
        self.service = scale(self.service, desired_count)

    def drain(self) -> None:
        self.service = drain(self.service)

    def answer(self, status: str) -> None:
        """Answer the hooks that wait for a user."""
        said = HookAnswer(HookStatus(status))
        for run in self.waiting_hooks():
            self.service = answer(self.service, run.id, said, self.now)

    def fail(self, cause: events.Cause, *, roll_back: bool = True) -> None:
        """Fail the deployment from outside: an alarm, a user."""
        actions = breaker.fail(self.service, cause, roll_back=roll_back)
        self.service = apply(self.service, actions, self.now)
        self.log += [(self.now, action) for action in actions]

    def waiting_hooks(self) -> list[HookRun]:
        shift = self.service.primary.shift
        return [r for r in shift.runs if r.status == "AWAITING_ACTION"] if shift else []

    # how the world goes

    def run(self, seconds: float, tick_s: float = 1.0) -> World:
        for _ in range(math.ceil(seconds / tick_s)):
            self.tick()
            self.now += tick_s
        return self

    def tick(self) -> list[Action]:
        for task in list(self.tasks.values()):
            self.tasks[task.id] = self._age(task)
        self._balance()
        self._note_stage()
        given = [t for t in self.tasks.values() if not t.settled]
        actions = reconcile(self.service, given, self.now)
        assert actions == reconcile(self.service, given, self.now), "not deterministic"
        before, live = self.healthy(), len(self.live())
        self.service = apply(self.service, actions, self.now)
        for action in actions:
            self._carry_out(action)
        self._check(actions, before, live)
        self.log += [(self.now, action) for action in actions]
        return actions

    def _balance(self) -> None:
        """Have the load balancer and the functions answer that were asked some time ago."""
        for hook_id, said in self.returned:
            self.service = answer(self.service, hook_id, said, self.now)
        self.returned = []
        if self.place_at is not None and self.now >= self.place_at:
            self.place_at = None
            self.service = place(self.service)

    def _note_stage(self) -> None:
        shift = self.service.primary.shift
        stage = shift.stage.value if shift else "-"
        if not self.stages or self.stages[-1] != stage:
            self.stages.append(stage)

    # what can be seen

    def live(self, task_definition: str | None = None) -> list[Task]:
        return [
            t
            for t in self.tasks.values()
            if t.desired_status is TaskStatus.RUNNING
            and t.last_status is not TaskStatus.STOPPED
            and task_definition in (None, self._definition(t))
        ]

    def present(self) -> list[Task]:
        return [t for t in self.tasks.values() if t.last_status is not TaskStatus.STOPPED]

    def healthy(self) -> set[str]:
        return {t.id for t in self.live() if self._is_healthy(t)}

    @property
    def lower(self) -> int:
        return math.ceil(self.service.desired_count * self.service.minimum_healthy_percent / 100)

    @property
    def upper(self) -> int:
        return math.floor(self.service.desired_count * self.service.maximum_percent / 100)

    def actions(self, kind: type[A]) -> list[A]:
        return [action for _, action in self.log if isinstance(action, kind)]

    # how

    def _deployment(self, task_definition: str) -> Deployment:
        self.deployments += 1
        behaviour = self.behaviours[task_definition]
        return Deployment(
            id=f"ecs-svc/{self.deployments}",
            task_definition=task_definition,
            has_load_balancer=behaviour.has_load_balancer,
            has_health_check=behaviour.has_health_check,
            procedure=self.procedure,
        )

    def _definition(self, task: Task) -> str:
        return task.instance  # the world keeps it there

    def _is_healthy(self, task: Task) -> bool:
        behaviour = self.behaviours[self._definition(task)]
        if task.running_since is None or task.last_status is not TaskStatus.RUNNING:
            return False
        if behaviour.has_load_balancer or behaviour.has_health_check:
            return task.id not in self.sick and self._passes(task, behaviour)
        return self.now - task.running_since >= self.service.steady_s

    def _passes(self, task: Task, behaviour: Behaviour) -> bool:
        assert task.running_since is not None
        after = behaviour.healthy_after_s
        return after is not None and self.now - task.running_since >= after

    def _age(self, task: Task) -> Task:
        if task.last_status is TaskStatus.STOPPED:
            return task
        behaviour = self.behaviours[self._definition(task)]
        if task.desired_status is TaskStatus.STOPPED:
            return self._age_stopping(task, behaviour)
        if task.running_since is None:
            return self._age_starting(task, behaviour)
        age = self.now - task.running_since
        if task.id in self.dying:
            return self._ended(task, StopCode.ESSENTIAL_CONTAINER_EXITED)
        if behaviour.crashes_after_s is not None and age >= behaviour.crashes_after_s:
            return self._ended(task, StopCode.ESSENTIAL_CONTAINER_EXITED)
        return self._age_running(task, behaviour, age)

    def _age_starting(self, task: Task, behaviour: Behaviour) -> Task:
        if self.now - task.created_at < behaviour.start_s:
            return replace(task, last_status=TaskStatus.PENDING)
        if behaviour.fails_to_start or task.id in self.doomed:
            return self._ended(task, StopCode.TASK_FAILED_TO_START)
        targets = (Target(GROUP, 3000),) if behaviour.has_load_balancer else ()
        return replace(
            task, last_status=TaskStatus.RUNNING, running_since=self.now, targets=targets
        )

    def _age_running(self, task: Task, behaviour: Behaviour, age: float) -> Task:
        state, health = TargetState.INITIAL, Health.UNKNOWN
        if task.id not in self.sick and self._passes(task, behaviour):
            state, health = TargetState.HEALTHY, Health.HEALTHY
        elif task.id in self.sick or age >= behaviour.unhealthy_after_s:
            state, health = TargetState.UNHEALTHY, Health.UNHEALTHY
        if behaviour.healthy_after_s is not None and state is TargetState.UNHEALTHY:
            late = age < behaviour.healthy_after_s and task.id not in self.sick
            state, health = (TargetState.INITIAL, Health.UNKNOWN) if late else (state, health)
        targets = tuple(replace(t, state=state) for t in task.targets)
        health = health if behaviour.has_health_check else Health.UNKNOWN
        return replace(task, targets=targets, health=health)

    def _age_stopping(self, task: Task, behaviour: Behaviour) -> Task:
        since = self.now - self.stop_since[task.id]
        drain_s = behaviour.drain_s if task.targets else 0.0
        if since < drain_s:
            return replace(task, last_status=TaskStatus.DEACTIVATING)
        if since < drain_s + behaviour.stop_s:
            return replace(task, last_status=TaskStatus.STOPPING)
        return replace(task, last_status=TaskStatus.STOPPED)

    def _ended(self, task: Task, code: StopCode) -> Task:
        return replace(
            task,
            last_status=TaskStatus.STOPPED,
            desired_status=TaskStatus.STOPPED,
            stop_code=code,
        )

    def _carry_out(self, action: Action) -> None:
        match action:
            case StartTasks(deployment_id, count):
                self._start(deployment_id, count)
            case StopTask(task_id, reason, stop_code):
                task = self.tasks[task_id]
                assert task.desired_status is TaskStatus.RUNNING, "stopped twice"
                self.stop_since[task_id] = self.now
                self.tasks[task_id] = replace(
                    task,
                    desired_status=TaskStatus.STOPPED,
                    stop_code=stop_code,
                    stopped_reason=reason,
                )
            case ConfirmTask(task_id):
                self.tasks[task_id] = replace(self.tasks[task_id], was_healthy=True)
            case SettleTask(task_id):
                self.tasks[task_id] = replace(self.tasks[task_id], settled=True)
            case Emit(text):
                self.events.append(text)
            case ShiftTraffic():
                self.place_at = self.now + self.place_s
            case AskHook(_, hook_id):
                self._call(hook_id)

    def _start(self, deployment_id: str, count: int) -> None:
        deployment = next(d for d in self.service.deployments if d.id == deployment_id)
        ids = []
        for _ in range(count):
            if self.room is not None and len(self.present()) >= self.room:
                self._no_room(deployment_id)
                break
            task = Task(
                id=f"t{len(self.tasks) + 1}",
                deployment_id=deployment_id,
                created_at=self.now,
                instance=deployment.task_definition,
            )
            self.tasks[task.id] = task
            ids.append(task.id)
            if self.doom.get(task.instance, 0) > 0:
                self.doom[task.instance] -= 1
                self.doomed.add(task.id)
        if ids:
            self.events.append(events.started("web", ids))

    def _call(self, hook_id: str) -> None:
        shift = self.service.primary.shift
        assert shift is not None
        run = next(run for run in shift.runs if run.id == hook_id)
        self.calls.append((self.now, run.target, shift.stage.value))
        self.returned.append((hook_id, self.replies[run.target].pop(0)))

    def _no_room(self, deployment_id: str) -> None:
        actions = unplaced(self.service, deployment_id, self.now)
        self.events += [action.text for action in actions if isinstance(action, Emit)]
        self.service = apply(self.service, actions, self.now)

    def _check(self, actions: list[Action], before: set[str], live: int) -> None:
        if self.service.primary.shift is not None:
            return  # two fleets; what holds for them, test_shifting_properties says
        stopped = {action.task_id for action in actions if isinstance(action, StopTask)}
        if self.service.status == "ACTIVE" and stopped & before:
            assert len(before - stopped) >= self.lower, "healthy tasks fell below the minimum"
        started = len(self.live()) - (live - len(stopped))
        if started > 0:
            assert len(self.live()) <= self.upper, "more tasks than the maximum"
