"""Targets of target groups: registered, probed, drained, forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kaiun.engine.codec import decode, encode
from kaiun.engine.store import Doc
from kaiun.engine.views import add_event, target_key
from kaiun.engine.world import World
from kaiun.scheduler import events, target
from kaiun.scheduler.model import TargetState
from kaiun.scheduler.target import Check, TargetHealth, TargetRules

log = logging.getLogger(__name__)

Probe = Callable[[Doc, Doc], Awaitable[Check]]  # (target, target group)
INITIAL_INTERVAL_S = 1.0
_OFF = (TargetState.DRAINING, TargetState.UNUSED)


class Targets:
    """All registrations, and the probing of each."""

    def __init__(self, world: World, probe: Probe) -> None:
        self._world = world
        world.registrar = self
        self._probe = probe
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._said: dict[tuple[str, str, str], int] = {}
        self.wired = 0  # version of the wiring that the balancer has
        self.version = 1  # version that it should have
        self._unplaced: set[str] = set()  # passed their checks, not in the balancer yet
        for key in world.targets:
            doc = world.targets[key]
            doc["wiring"] = min(1, doc["wiring"])
            if not doc.get("placed", True):
                self._unplaced.add(key)

    def rewire(self) -> None:
        self.version += 1
        self._world.alarm()

    def are_wired(self, version: int) -> None:
        """Take note that the balancer has what was wanted at `version` of the wiring."""
        self.wired = version
        for key in list(self._unplaced):
            doc = self._world.targets.get(key)
            if doc is not None and doc["wiring"] > version:
                continue
            self._unplaced.discard(key)
            if doc is not None:
                doc["placed"] = True
                self._world.targets.touch(key)
                if doc["task"]:
                    self._wake_owner(doc["task"])

    def register(
        self, group: str, target_id: str, port: int, address: str, task: str | None
    ) -> str:
        """Register one target; a draining one of the same address starts anew, and so does that
        of a task whose containers have died and left the address to this one."""
        key = target_key(group, target_id, port)
        old = self._world.targets.get(key)
        taken = old is not None and task is not None and old["task"] != task
        if old is None or taken or old["health"]["state"] == "draining":
            self._world.targets[key] = {
                "target_group": group,
                "id": target_id,
                "port": port,
                "address": address,
                "task": task,
                "wiring": 0,
                "health": encode(target.attached(TargetHealth())),
            }
            self.rewire()
            if old is not None and old["task"]:
                self._world.wake_task(old["task"])
        return key

    def register_task(self, task: Doc) -> None:
        """Register a task in every target group of its service."""
        own = task["_"]
        if own["targets"]:
            return
        for balancer in own["load_balancers"]:
            where = self._whereabouts(task, balancer)
            if where is not None:
                group = balancer["targetGroupArn"]
                own["targets"].append(self.register(group, *where, own["id"]))
                self._say("registered", own["service"], group)
        self._world.tasks.touch(own["id"])

    def _whereabouts(self, task: Doc, balancer: Doc) -> tuple[str, int, str] | None:
        """Return id, port and the address to reach it at; None while that is not known."""
        group = self._world.target_groups.get(balancer["targetGroupArn"])
        own = task["_"]["containers"].get(balancer["containerName"], {})
        port = balancer["containerPort"]
        if group is None:
            return None
        if group["TargetType"] == "ip" or task["attachments"]:
            address = own.get("address")
            return (address, port, address) if address else None
        for container_port, host_port, _ip, _protocol in own.get("ports", ()):
            if container_port == port:
                instance = self._world.instances[task["containerInstanceArn"]]
                return instance["ec2InstanceId"], host_port, "127.0.0.1"
        return None

    def deregister(self, key: str) -> None:
        """Begin to drain a target."""
        doc = self._world.targets.get(key)
        if doc is None:
            return
        health = decode(TargetHealth, doc["health"])
        if health.state is TargetState.DRAINING:
            return
        doc["health"] = encode(target.deregister(health, self._world.now()))
        self.rewire()
        doc["wiring"] = self.version
        self._world.targets.touch(key)

    def deregister_task(self, task: Doc) -> None:
        for key in task["_"]["targets"]:
            doc = self._own(task, key)
            if doc is not None and doc["health"]["state"] != "draining":
                self.deregister(key)
                self._say("deregistered", task["_"]["service"], doc["target_group"])
                self._say("draining", task["_"]["service"], task["_"]["deployment"])

    def forget_task(self, task: Doc) -> None:
        for key in task["_"]["targets"]:
            if self._own(task, key) is not None:
                self._forget(key)

    def _own(self, task: Doc, key: str) -> Doc | None:
        """Return a task's registration, unless it is gone or another task's by now."""
        doc = self._world.targets.get(key)
        return doc if doc is not None and doc["task"] == task["_"]["id"] else None

    def _forget(self, key: str) -> None:
        doc = self._world.targets[key]
        del self._world.targets[key]
        self.rewire()
        if doc["task"]:
            self._world.wake_task(doc["task"])

    def _say(self, what: str, service: str | None, of: str) -> None:
        if service is not None:
            said = (what, service, of)
            self._said[said] = self._said.get(said, 0) + 1

    def tell(self) -> None:
        """Add the events of this turn, one for all targets of a kind."""
        said, self._said = self._said, {}
        texts = {
            "registered": events.registered,
            "deregistered": events.deregistered,
        }
        for (what, arn, of), count in said.items():
            service = self._world.services.get(arn)
            if service is None:
                continue
            name = service["serviceName"]
            if what == "draining":
                add_event(self._world, service, events.draining(name, of, count))
            else:
                add_event(self._world, service, texts[what](name, count, of))

    def turn(self) -> float | None:
        """Forget what is drained, watch what is new; return when the next drain is over."""
        due: float | None = None
        now = self._world.now()
        for key in list(self._world.targets):
            doc = self._world.targets[key]
            if doc["health"]["state"] == "draining":
                at = self._drained_at(doc)
                if at <= now and doc["wiring"] <= self.wired:
                    self._forget(key)
                elif at > now:
                    due = at if due is None else min(due, at)
            elif key not in self._watchers:
                self._watchers[key] = asyncio.create_task(self._watch(key))
        return due

    def _drained_at(self, doc: Doc) -> float:
        group = self._world.target_groups.get(doc["target_group"])
        delay = rules_of(group).deregistration_delay_s if group else 0.0
        return float(doc["health"]["draining_since"]) + delay

    async def _watch(self, key: str) -> None:
        try:
            while (doc := self._world.targets.get(key)) is not None:
                group = self._world.target_groups.get(doc["target_group"])
                if group is None or doc["health"]["state"] in _OFF:
                    return
                pause_s = await self._look(key, doc, group)
                await asyncio.sleep(self._world.clock.real_s(pause_s))
        finally:
            self._watchers.pop(key, None)

    async def _look(self, key: str, doc: Doc, group: Doc) -> float:
        """Probe once; return how long to wait before the next time.

        A target that has not answered yet is looked at more often than the interval says, so that
        a deploy need not wait for it; only every interval's failure counts.
        """
        check = await self._probe(doc, group)
        interval = float(group["HealthCheckIntervalSeconds"])
        if self._world.targets.get(key) is not doc:
            return 0.0
        before = decode(TargetHealth, doc["health"])
        if before.state in _OFF:
            return 0.0
        initial = before.state is TargetState.INITIAL
        pause = min(interval, INITIAL_INTERVAL_S) if initial else interval
        if initial and not check.ok:
            now = self._world.now()
            if now < doc.setdefault("count_at", now + interval):
                return pause
            doc["count_at"] = now + interval
        after = target.step(before, check, rules_of(group))
        if after != before:
            doc["health"] = encode(after)
            self._world.targets.touch(key)
        if after.state is not before.state:
            self.rewire()
            if initial and after.state is TargetState.HEALTHY:
                self._place(key, doc)
            elif doc["task"]:
                self._wake_owner(doc["task"])
        return pause if after.state is TargetState.INITIAL else interval

    def _place(self, key: str, doc: Doc) -> None:
        """Hold back that a target is healthy until the balancer sends requests to it: who waits
        for a deployment to complete may send one at once."""
        doc |= {"placed": False, "wiring": self.version}
        self._unplaced.add(key)

    def _wake_owner(self, task_id: str) -> None:
        self._world.wake_task(task_id)
        task = self._world.tasks.get(task_id)
        if task is not None and task["_"]["service"]:
            self._world.wake_service(task["_"]["service"])

    async def close(self) -> None:
        watchers = list(self._watchers.values())
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def attributes_of(group: Doc) -> dict[str, Any]:
    attributes: dict[str, Any] = group["_"]["attributes"]
    return attributes


def rules_of(group: Doc) -> TargetRules:
    """Return the thresholds and the deregistration delay of a target group."""
    return TargetRules(
        healthy_threshold=group["HealthyThresholdCount"],
        unhealthy_threshold=group["UnhealthyThresholdCount"],
        deregistration_delay_s=float(
            attributes_of(group).get("deregistration_delay.timeout_seconds", 300)
        ),
    )
