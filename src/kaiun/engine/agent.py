"""Make tasks real: step each through its lifecycle and carry out what that asks for.

Everything here can be derived again from the store and the runtime. A command that is under way is
not given twice; one that was lost with a killed engine comes again from the next step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kaiun.engine import spec, taskrole, taskvars
from kaiun.engine.cloudmap import registration
from kaiun.engine.commands import PREPARE, START, Commands
from kaiun.engine.observed import forget_ending, lifecycle_view, show_agents, show_container
from kaiun.engine.operations.making import release
from kaiun.engine.operations.tasks import touch
from kaiun.engine.runtime.base import (
    PAUSE,
    ContainerStatus,
    Observation,
    Runtime,
    RuntimeFailure,
    TaskSpec,
)
from kaiun.engine.store import Doc
from kaiun.engine.targets import Targets
from kaiun.engine.world import World
from kaiun.scheduler import lifecycle, view
from kaiun.scheduler.model import TaskStatus

if TYPE_CHECKING:
    from kaiun.engine.supplies import Supply

log = logging.getLogger(__name__)

_NOTED = ("exit_code", "reason", "started_at", "finished_at", "image_digest", "address")


class Agent:
    """Steps tasks and runs their commands."""

    def __init__(self, world: World, runtime: Runtime, targets: Targets, supply: Supply) -> None:
        self._world = world
        self._runtime = runtime
        self._targets = targets
        self._supply = supply
        self._commands = Commands(world.wake_task)
        self._specs: dict[str, TaskSpec] = {}
        self.by_runtime_id: dict[str, tuple[str, str]] = {}
        self.on_new_container: Callable[[str], None] = lambda _runtime_id: None

    def observe(self, seen: Observation) -> None:
        """Take note of what is true of a container now."""
        if seen.name == PAUSE:
            self._observe_namespace(seen)
            return
        known = seen.runtime_id in self.by_runtime_id
        self.by_runtime_id[seen.runtime_id] = (seen.task_id, seen.name)
        task = self._world.tasks.get(seen.task_id)
        if task is None or task["lastStatus"] == "STOPPED":
            return
        own = task["_"]["containers"].setdefault(seen.name, {})
        before = dict(own)
        if own.get("status") in ("EXITED", "GONE") and seen.status is ContainerStatus.GONE:
            return
        own["status"] = seen.status.value
        own["runtime_id"] = seen.runtime_id
        for name in _NOTED:
            if (value := getattr(seen, name)) is not None:
                own[name] = value
        if seen.ports:
            own["ports"] = [
                [p.container_port, p.host_port, p.bind_ip, p.protocol] for p in seen.ports
            ]
        own["health"] = seen.health
        if own != before:
            show_container(task, seen.name)
            touch(self._world, task)
            self._world.wake_task(seen.task_id)
        if not known:
            self.on_new_container(seen.runtime_id)

    def _observe_namespace(self, seen: Observation) -> None:
        """A task whose network namespace has lost its holder is cut off, and cannot go on."""
        task = self._world.tasks.get(seen.task_id)
        over = seen.status in (ContainerStatus.EXITED, ContainerStatus.GONE)
        if over and task is not None and task["desiredStatus"] == "RUNNING":
            task["_"]["cut_off"] = True
            touch(self._world, task)
            self._world.wake_task(seen.task_id)

    def hear(self) -> None:
        """Observe what has happened by now."""
        self._runtime.hear()

    def lost(self, seen: set[tuple[str, str]]) -> None:
        """Mark as GONE every container that ran before and that the runtime did not show."""
        for task in self._world.tasks.values():
            if task["lastStatus"] == "STOPPED":
                continue
            for name, own in task["_"]["containers"].items():
                alive = own.get("status") in ("RUNNING", "CREATED")
                if alive and (task["_"]["id"], name) not in seen:
                    own["status"] = "GONE"
                    show_container(task, name)
                    touch(self._world, task)
            self._world.wake_task(task["_"]["id"])

    def step(self, task_id: str) -> float | None:
        """Bring one task as far as it goes; return when to look again though nothing happens."""
        task = self._world.tasks.get(task_id)
        if task is None or task["lastStatus"] == "STOPPED":
            return None
        while True:
            before = task["lastStatus"]
            result = lifecycle.step(lifecycle_view(self._world, task), self._world.now())
            self._apply(task, result)
            for command in result.commands:
                self._give(task, command)
            if result.last_status.value == before or result.last_status is TaskStatus.STOPPED:
                return result.wake_at

    def _definition(self, task: Doc) -> Doc:
        return self._world.task_definitions[task["taskDefinitionArn"]]

    def _apply(self, task: Doc, result: view.Step) -> None:
        face: dict[str, Any] = {
            "lastStatus": result.last_status.value,
            "desiredStatus": result.desired_status.value,
            "healthStatus": result.health.value,
        }
        if result.stop_code:
            face |= {"stopCode": result.stop_code.value, "stoppedReason": result.stopped_reason}
        if all(task.get(name) == value for name, value in face.items()):
            return
        before = task["lastStatus"]
        now = self._world.now()
        task |= face
        if face["desiredStatus"] == "STOPPED":
            task.setdefault("stoppingAt", now)
        if face["lastStatus"] != before:
            self._note_time(task, now)
        registration.follow(self._world, task)
        touch(self._world, task)
        if service := task["_"]["service"]:
            self._world.wake_service(service)

    def _note_time(self, task: Doc, now: float) -> None:
        status = task["lastStatus"]
        if status == "RUNNING":
            task.setdefault("startedAt", now)
            for attachment in task["attachments"]:
                attachment["status"] = "ATTACHED"
        elif status == "DEPROVISIONING":
            task.setdefault("executionStoppedAt", now)
        elif status == "STOPPED":
            task.setdefault("executionStoppedAt", now)
            task["stoppedAt"] = now
            self._finish(task)

    def _finish(self, task: Doc) -> None:
        for container in task["containers"]:
            container["lastStatus"] = "STOPPED"
            show_agents(container)
        for attachment in task["attachments"]:
            attachment["status"] = "DELETED"
        release(self._world, task)
        taskrole.revoke(self._world, task)
        self._specs.pop(task["_"]["id"], None)
        for own in task["_"]["containers"].values():
            self.by_runtime_id.pop(own.get("runtime_id", ""), None)

    def _give(self, task: Doc, command: view.Command) -> None:
        """Take a command; those for the runtime are run after the commit."""
        task_id, queue = task["_"]["id"], self._commands.queue
        match command:
            case view.RegisterTargets():
                self._targets.register_task(task)
            case view.DeregisterTargets():
                self._targets.deregister_task(task)
            case view.Prepare():
                task.setdefault("pullStartedAt", self._world.now())
                queue(task_id, PREPARE, lambda: self._prepare(task))
            case view.StartContainer(name):
                queue(task_id, f"{START} {name}", lambda: self._start(task, name))
            case view.RestartContainer(name):
                queue(task_id, f"{START} {name}", lambda: self._restart(task, name))
            case view.StopContainer(name, timeout_s):
                queue(task_id, f"stop {name}", lambda: self._runtime.stop(task_id, name, timeout_s))
            case view.Remove():
                queue(task_id, "remove", lambda: self._remove(task))

    def run_commands(self) -> None:
        """Start what was queued; called once the state that it follows from is committed."""
        self._commands.run()

    async def _spec(self, task: Doc) -> TaskSpec:
        task_id = task["_"]["id"]
        if task_id not in self._specs:
            definition = self._definition(task)
            registries = [r["registryArn"] for r in task["_"].get("service_registries", ())]
            supplies = await self._supply(definition, spec.container_overrides(task), registries)
            given = taskvars.given(self._world, task, definition)
            self._specs[task_id] = spec.render(task, definition, supplies, given)
        return self._specs[task_id]

    async def _prepare(self, task: Doc) -> None:
        own = task["_"]
        try:
            await self._runtime.prepare(await self._spec(task))
            own["prepared"] = True
        except RuntimeFailure as failure:
            own["failure"] = str(failure)
        except Exception as problem:
            log.exception("task %s cannot be prepared", own["id"])
            own["failure"] = f"ResourceInitializationError: {problem!r}"
        task["pullStoppedAt"] = self._world.now()
        touch(self._world, task)

    async def _start(self, task: Doc, name: str) -> None:
        try:
            seen = await self._runtime.start(await self._spec(task), name)
        except RuntimeFailure as failure:
            self._cannot_start(task, name, str(failure))
        except Exception as problem:
            log.exception("container %s of task %s cannot be started", name, task["_"]["id"])
            self._cannot_start(task, name, f"CannotStartContainerError: {problem!r}")
        else:
            self.observe(seen)

    async def _restart(self, task: Doc, name: str) -> None:
        """Start a container again; what it ended with before is forgotten, but that it did."""
        try:
            seen = await self._runtime.restart(await self._spec(task), name)
        except RuntimeFailure as failure:
            self._cannot_start(task, name, str(failure))
            return
        own = task["_"]["containers"][name]
        if seen.status is ContainerStatus.RUNNING:
            own["restarts"] = own.get("restarts", 0) + 1
            forget_ending(task, name)
        self.observe(seen)

    def _cannot_start(self, task: Doc, name: str, failure: str) -> None:
        task["_"]["containers"].setdefault(name, {})["failure"] = failure
        show_container(task, name)
        touch(self._world, task)

    async def _remove(self, task: Doc) -> None:
        await self._commands.made(task["_"]["id"])
        await self._runtime.remove(task["_"]["id"])
        task["_"]["removed"] = True
        touch(self._world, task)

    async def remove_orphans(self) -> None:
        """Remove what the runtime has of tasks that are unknown or STOPPED."""
        for task_id in await self._runtime.tasks():
            task = self._world.tasks.get(task_id)
            if task is None or task["lastStatus"] == "STOPPED":
                log.warning("removing containers of task %s, which nobody wants", task_id)
                await self._runtime.remove(task_id)

    async def stop_all(self, reason: str) -> None:
        """Stop every task at once, without draining, because the engine itself goes down."""
        live = [t for t in self._world.tasks.values() if t["lastStatus"] != "STOPPED"]
        await self.cancel()
        await asyncio.gather(*(self._stop_now(task, reason) for task in live))

    async def _stop_now(self, task: Doc, reason: str) -> None:
        task_id = task["_"]["id"]
        try:
            await asyncio.gather(
                *(
                    self._runtime.stop(
                        task_id, c["name"], c.get("stopTimeout", spec.STOP_TIMEOUT_S)
                    )
                    for c in self._definition(task)["containerDefinitions"]
                )
            )
            await self._runtime.remove(task_id)
        except Exception:
            log.exception("task %s does not stop", task_id)
        self._targets.forget_task(task)
        if task["desiredStatus"] == "RUNNING":
            task |= {"desiredStatus": "STOPPED", "stopCode": "ServiceSchedulerInitiated"}
            task["stoppedReason"] = reason
        task["lastStatus"] = "STOPPED"
        task.setdefault("stoppingAt", self._world.now())
        self._note_time(task, self._world.now())
        registration.follow(self._world, task)
        touch(self._world, task)

    async def cancel(self) -> None:
        """End all commands that are under way."""
        await self._commands.cancel()
