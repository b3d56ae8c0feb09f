"""The loop: wakes when something was asked for, observed or is due, and brings all up to date.

One turn steps the tasks that changed, reconciles the services that they belong to, commits, and
only then starts the commands that follow. Nothing is polled: deadlines are timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from kaiun.engine import wiring
from kaiun.engine.agent import Agent
from kaiun.engine.balancer.base import Balancer
from kaiun.engine.operations.instances import tell_instances
from kaiun.engine.operations.placing import launch
from kaiun.engine.operations.protection import protected_until
from kaiun.engine.operations.tasks import stop
from kaiun.engine.ordering import order_of
from kaiun.engine.pruning import prune
from kaiun.engine.schedules.firing import Firing
from kaiun.engine.shifts import Shifts
from kaiun.engine.targets import Targets
from kaiun.engine.tasksets import is_told, show_task_set
from kaiun.engine.views import add_event, show_state, task_view
from kaiun.engine.world import World
from kaiun.scheduler import events, service, transition
from kaiun.scheduler.model import (
    Action,
    AskHook,
    ConfirmTask,
    Emit,
    ServiceState,
    SettleTask,
    ShiftTraffic,
    StartTasks,
    StopTask,
)

log = logging.getLogger(__name__)

PRUNE_EVERY_S = 60.0
BALANCER_RETRY_S = 5.0
_ROUNDS = 50


class Core:
    """Owns the turns."""

    def __init__(
        self, world: World, agent: Agent, targets: Targets, balancer: Balancer, shifts: Shifts
    ) -> None:
        self._shifts = shifts
        self._world = world
        self._agent = agent
        self._targets = targets
        self._balancer = balancer
        self._firing = Firing(world)
        self._wake = asyncio.Event()
        self._task_due: dict[str, float] = {}
        self._service_due: dict[str, float] = {}
        self._prune_at = 0.0
        self._applying: asyncio.Task[None] | None = None
        world.alarm = self._wake.set

    async def run(self) -> None:
        """Turn until cancelled."""
        world = self._world
        self._shifts.resume()
        world.dirty_services |= {
            s["serviceArn"] for s in world.services.values() if s["status"] != "INACTIVE"
        } | set(world.task_sets)
        world.dirty_tasks |= {
            t["_"]["id"] for t in world.tasks.values() if t["lastStatus"] != "STOPPED"
        }
        while True:
            due = self._turn()
            wait_s = None if due is None else world.clock.real_s(max(0.0, due - world.now()))
            await self._sleep(wait_s)
            self._wake.clear()

    async def _sleep(self, timeout_s: float | None) -> None:
        """Sleep until woken. (asyncio.wait_for would lose a cancellation that comes with the wake,
        CPython issue 86296, fixed in 3.12.)"""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()

    def _turn(self) -> float | None:
        """Bring everything up to date; return when the next turn is due."""
        world = self._world
        now = world.now()
        try:
            fires = self._firing.turn(now)
            self._collect_due(now)
            drains = self._targets.turn()
            for _ in range(_ROUNDS):
                self._agent.hear()
                if not (world.dirty_tasks or world.dirty_services):
                    break
                self._step_tasks()
                self._reconcile_services()
            self._targets.tell()
            tell_instances(world)
            self._prune(now)
            world.logbook.flush()
        finally:
            world.store.commit()
        self._agent.run_commands()
        self._shifts.run_calls()
        self._wire()
        dues = [self._prune_at, fires, *self._task_due.values(), *self._service_due.values()]
        return min([*dues, drains] if drains is not None else dues)

    def _collect_due(self, now: float) -> None:
        for due, dirty in (
            (self._task_due, self._world.dirty_tasks),
            (self._service_due, self._world.dirty_services),
        ):
            for key in [k for k, at in due.items() if at <= now]:
                del due[key]
                dirty.add(key)

    def _step_tasks(self) -> None:
        dirty, self._world.dirty_tasks = self._world.dirty_tasks, set()
        for task_id in dirty:
            self._task_due.pop(task_id, None)
            try:
                due = self._agent.step(task_id)
            except Exception:
                log.exception("task %s cannot be stepped", task_id)
                due = self._world.now() + 5.0
            if due is not None:
                self._task_due[task_id] = due
            task = self._world.tasks.get(task_id)
            if task is not None and task["_"]["service"]:
                self._world.dirty_services.add(task["_"]["service"])

    def _reconcile_services(self) -> None:
        dirty, self._world.dirty_services = self._world.dirty_services, set()
        for arn in dirty:
            self._service_due.pop(arn, None)
            if self._world.scheduled(arn) is None:
                continue
            try:
                due = self._reconcile(arn)
            except Exception:
                log.exception("service %s cannot be reconciled", arn)
                due = self._world.now() + 5.0
            if due is not None:
                self._service_due[arn] = due

    def _reconcile(self, arn: str) -> float | None:
        world = self._world
        now = world.now()
        state = self._shifts.placed(arn, world.state(arn))
        tasks = [task_view(world, t) for t in world.tasks_of(arn)]
        actions = service.reconcile(state, tasks, now)
        if actions:
            state = self._carry_out(arn, state, actions, now)
            world.put_state(arn, state)
            world.dirty_services.add(arn)
        if arn in world.task_sets:
            show_task_set(world, world.task_sets[arn])
        else:
            show_state(world, arn)
            self._shifts.follow(arn, state)
        return _soonest(service.due(state, tasks, now), self._unprotected_at(arn, now))

    def _unprotected_at(self, arn: str, now: float) -> float | None:
        """Return when the next of a service's tasks loses its scale-in protection."""
        ends = (protected_until(task) for task in self._world.tasks_of(arn))
        return min((end for end in ends if end is not None and end > now), default=None)

    def _carry_out(
        self, arn: str, state: ServiceState, actions: Sequence[Action], now: float
    ) -> ServiceState:
        world = self._world
        state = transition.apply(state, actions, now)
        task_set = world.task_sets.get(arn)
        doc = world.services[task_set["serviceArn"] if task_set else arn]
        for action in actions:
            if task_set and not is_told(action):
                continue
            match action:
                case StartTasks(deployment_id, count):
                    state = self._start_tasks(arn, state, deployment_id, count)
                case StopTask(task_id, reason, stop_code):
                    stop(world, world.tasks[task_id], code=stop_code.value, reason=reason)
                case ConfirmTask(task_id):
                    world.tasks[task_id]["_"]["was_healthy"] = True
                    world.tasks.touch(task_id)
                case SettleTask(task_id):
                    world.settle(world.tasks[task_id])
                case Emit(text):
                    add_event(world, doc, text)
                case ShiftTraffic():
                    self._shifts.set_traffic(arn, state)
                case AskHook(_, hook_id):
                    self._shifts.ask(arn, state, hook_id)
                case _:
                    pass
        return state

    def _start_tasks(
        self, arn: str, state: ServiceState, deployment_id: str, count: int
    ) -> ServiceState:
        world = self._world
        deployment = next(d for d in state.deployments if d.id == deployment_id)
        task_set = world.task_sets.get(arn)
        doc = world.services[task_set["serviceArn"] if task_set else arn]
        made, failures = launch(world, order_of(world, arn, deployment), count)
        if made:
            text = events.started(state.name, [t["_"]["id"] for t in made])
            add_event(world, doc, text)
        if not failures:
            return state
        now = world.now()
        actions = service.unplaced(state, deployment_id, now)
        for action in actions:
            if isinstance(action, Emit):
                add_event(world, doc, action.text, failures[0]["reason"])
        return transition.apply(state, actions, now)

    def _wire(self) -> None:
        """Have the balancer brought up to date, one application at a time."""
        if self._applying is None and self._targets.wired < self._targets.version:
            self._applying = asyncio.create_task(self._apply_wiring())

    async def _apply_wiring(self) -> None:
        version = self._targets.version
        try:
            await self._balancer.apply(wiring.build(self._world))
        except Exception:
            log.exception("the balancer cannot be set up")
            asyncio.get_running_loop().call_later(BALANCER_RETRY_S, self._targets.rewire)
        finally:
            self._targets.are_wired(version)
            self._applying = None
            self._shifts.wired()
            self._world.alarm()

    def _prune(self, now: float) -> None:
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            prune(self._world)


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
