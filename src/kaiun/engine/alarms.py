"""CloudWatch alarms that fail a deployment: looked at while one is in progress, and only then.

An alarm has to go into ALARM: one that is in it when the deployment begins counts once it has
been out of it. Source: DeploymentAlarms; developer guide, "How CloudWatch alarms detect Amazon ECS
deployment failures".
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable

from kaiun.engine.identity import Identity
from kaiun.engine.operations.rollouts import fail
from kaiun.engine.store import Doc
from kaiun.engine.views import show_state
from kaiun.engine.world import World
from kaiun.scheduler import events
from kaiun.scheduler.model import RolloutState, ServiceState

log = logging.getLogger(__name__)

EVERY_S = 2.0
TIMEOUT_S = 10.0
_API = "{http://monitoring.amazonaws.com/doc/2010-08-01/}"

Reader = Callable[[list[str]], Awaitable[set[str]]]  # alarm names → those in ALARM


def names_of(service: Doc) -> list[str]:
    """Return the alarms that a service's deployments are judged by."""
    alarms = service["deploymentConfiguration"].get("alarms", {})
    names: list[str] = alarms["alarmNames"] if alarms.get("enable") else []
    return names


class Alarms:
    """One watcher for each service whose deployment is in progress and has alarms."""

    def __init__(self, world: World, read: Reader) -> None:
        self._world = world
        self._read = read
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
                ringing = await self._look(names)
                if ringing is not None:
                    self._say_watched(arn, deployment_id)
                    if (gone := ringing & quiet) and self._is_on(arn, deployment_id):
                        self._fail(arn, deployment_id, sorted(gone))
                        return
                    quiet |= set(names) - ringing
                await asyncio.sleep(EVERY_S)
        finally:
            self._watchers.pop(arn, None)
            self._world.wake_service(arn)

    async def _look(self, names: list[str]) -> set[str] | None:
        try:
            return await self._read(names)
        except Exception:
            log.exception("the alarms cannot be read")
            return None

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


class AlarmReader:
    """Asks the side services for alarms; `locate` says where they listen."""

    def __init__(
        self, identity: Identity, locate: Callable[[], Awaitable[tuple[str, int]]]
    ) -> None:
        self._identity = identity
        self._locate = locate

    async def __call__(self, names: list[str]) -> set[str]:
        host, port = await self._locate()
        return await asyncio.to_thread(self._describe, host, port, names)

    def _describe(self, host: str, port: int, names: list[str]) -> set[str]:
        form = {"Action": "DescribeAlarms", "Version": "2010-08-01"}
        form |= {f"AlarmNames.member.{n}": name for n, name in enumerate(names, 1)}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **self._identity.routed("monitoring"),
        }
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/", urllib.parse.urlencode(form), headers)
            found = ET.fromstring(connection.getresponse().read())  # noqa: S314  (our own moto)
        finally:
            connection.close()
        return {
            str(alarm.findtext(f"{_API}AlarmName"))
            for alarm in found.iter(f"{_API}member")
            if alarm.findtext(f"{_API}StateValue") == "ALARM"
        }
