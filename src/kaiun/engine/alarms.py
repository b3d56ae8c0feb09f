"""CloudWatch alarms that fail a deployment: looked at while one is in progress, and only then.

An alarm has to go into ALARM: one that is in it when the deployment begins counts once it has
been out of it. Source: DeploymentAlarms; developer guide, "How CloudWatch alarms detect Amazon ECS
deployment failures".
"""

from __future__ import annotations

import asyncio

from kaiun.engine.operations.rollouts import fail
from kaiun.engine.store import Doc
from kaiun.engine.views import show_state
from kaiun.engine.world import World
from kaiun.scheduler import events
from kaiun.scheduler.model import RolloutState, ServiceState

EVERY_S = 2.0


def names_of(service: Doc) -> list[str]:
    """Return the alarms that a service's deployments are judged by."""
    alarms = service["deploymentConfiguration"].get("alarms", {})
    names: list[str] = alarms["alarmNames"] if alarms.get("enable") else []
    return names


class Alarms:
    """One watcher for each service whose deployment is in progress and has alarms."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watchers: dict[str, asyncio.Task[None]] = {}

    def follow(self, arn: str, state: ServiceState) -> None:
        """Watch the alarms of a service where there is reason to."""
        if arn not in self._watchers and self._concerns(arn, state):
            self._watchers[arn] = asyncio.create_task(self._watch(arn, state.primary.id))

    def _concerns(self, arn: str, state: ServiceState) -> bool:
        primary = state.primary
        in_progress = primary.rollout_state is RolloutState.IN_PROGRESS
        return (
            in_progress and not primary.rolled_back_to and bool(names_of(self._world.services[arn]))
        )

    async def _watch(self, arn: str, deployment_id: str) -> None:
        try:
            quiet: set[str] = set()
            while self._is_on(arn, deployment_id):
                names = names_of(self._world.services[arn])
                ringing = self._ringing(names)
                self._say_watched(arn, deployment_id)
                if gone := ringing & quiet:
                    self._fail(arn, deployment_id, sorted(gone))
                    return
                quiet |= set(names) - ringing
                await asyncio.sleep(EVERY_S)
        finally:
            self._watchers.pop(arn, None)
            self._world.wake_service(arn)

    def _ringing(self, names: list[str]) -> set[str]:
        """Return those of the alarms that are in ALARM; one that does not exist is not."""
        known = ((name, self._world.metric_alarms.get(name)) for name in names)
        return {name for name, alarm in known if alarm and alarm["StateValue"] == "ALARM"}

    def _is_on(self, arn: str, deployment_id: str) -> bool:
        if arn not in self._world.services:
            return False
        state = self._world.state(arn)
        return state.primary.id == deployment_id and self._concerns(arn, state)

    def _say_watched(self, arn: str, deployment_id: str) -> None:
        """Have the API show MONITORING, from the first look on."""
        doc = self._doc(deployment_id)
        if "triggered" not in doc["_"]:
            doc["_"]["triggered"] = []
            show_state(self._world, arn)

    def _doc(self, deployment_id: str) -> Doc:
        docs = self._world.deployments.values()
        return next(doc for doc in docs if doc["_"]["deployment"] == deployment_id)

    def _fail(self, arn: str, deployment_id: str, names: list[str]) -> None:
        world, service = self._world, self._world.services[arn]
        self._doc(deployment_id)["_"]["triggered"] = names
        roll_back = service["deploymentConfiguration"]["alarms"]["rollback"]
        fail(world, arn, events.ALARM, roll_back=roll_back)

    async def close(self) -> None:
        watchers = list(self._watchers.values())
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
