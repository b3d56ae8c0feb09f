"""What deployments that shift traffic need of the world around them: weights, hooks, alarms.

Nothing here has to survive the engine: after a restart the scheduler asks for all of it again.
"""

from __future__ import annotations

import asyncio
import logging

from kaiun.engine import traffic
from kaiun.engine.alarms import Alarms
from kaiun.engine.functions import Functions
from kaiun.engine.shift_view import payload
from kaiun.engine.targets import Targets
from kaiun.engine.world import World
from kaiun.scheduler import transition
from kaiun.scheduler.hooks import HookRun
from kaiun.scheduler.model import ServiceState

log = logging.getLogger(__name__)


class Shifts:
    """Carries out ShiftTraffic and AskHook, and says when they are done."""

    def __init__(
        self, world: World, targets: Targets, functions: Functions, alarms: Alarms
    ) -> None:
        self._world = world
        self._targets = targets
        self._functions = functions
        self._alarms = alarms
        self._placing: dict[str, int] = {}  # service → version of the wiring with its weights
        self._calls: list[tuple[str, HookRun]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Have the schedulers ask again for what the engine before was at."""
        for service in self._world.services.values():
            if "state" not in service["_"]:
                continue  # it consists of task sets
            arn = service["serviceArn"]
            state = self._world.state(arn)
            again = transition.resume(state)
            if again != state:
                self._world.put_state(arn, again)

    def set_traffic(self, arn: str, state: ServiceState) -> None:
        """Set a service's weights; `placed` tells when the load balancer has them."""
        traffic.shift(self._world, self._world.services[arn], state)
        self._placing[arn] = self._targets.version

    def placed(self, arn: str, state: ServiceState) -> ServiceState:
        """Return the state of a service, told of its weights if they hold now."""
        version = self._placing.get(arn)
        if version is None or version > self._targets.wired:
            return state
        del self._placing[arn]
        told = transition.place(state)
        self._world.put_state(arn, told)
        return told

    def wired(self) -> None:
        """Wake the services whose weights the load balancer has just got."""
        for arn, version in self._placing.items():
            if version <= self._targets.wired:
                self._world.wake_service(arn)

    def ask(self, arn: str, state: ServiceState, hook_id: str) -> None:
        """Take a call of a hook's function; it is made after the commit."""
        shift = state.primary.shift
        runs = shift.runs if shift is not None else ()
        self._calls += [(arn, run) for run in runs if run.id == hook_id]

    def run_calls(self) -> None:
        calls, self._calls = self._calls, []
        for arn, run in calls:
            task = asyncio.create_task(self._call(arn, run))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _call(self, arn: str, run: HookRun) -> None:
        world = self._world
        body = payload(world.services[arn], world.state(arn), run)
        answer = await self._functions.call(run.target, body)
        if arn in world.services:
            world.put_state(arn, transition.answer(world.state(arn), run.id, answer, world.now()))
            world.wake_service(arn)

    def follow(self, arn: str, state: ServiceState) -> None:
        """Have the alarms of a service watched where there is reason to."""
        self._alarms.follow(arn, state)

    async def close(self) -> None:
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._alarms.close()
