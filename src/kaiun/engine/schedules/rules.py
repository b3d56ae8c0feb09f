"""EventBridge rules: kept by the side services, fired, or matched with events, by the engine.

moto has the rules, for it also has buses, archives and PutEvents, which need them. The engine reads
them after each request that may have changed one, and when it starts. What it knows of them goes
when the side services lose them.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from kaiun.engine.eventbus import pattern
from kaiun.engine.identity import Identity
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules import expression, timetable
from kaiun.engine.store import Doc
from kaiun.engine.world import World

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
_CHANGES: Final = frozenset(
    ("PutRule", "DeleteRule", "EnableRule", "DisableRule", "PutTargets", "RemoveTargets",
     "CreateArchive", "UpdateArchive", "DeleteArchive", "DeleteEventBus")
)  # fmt: skip
Reader = Callable[[], Awaitable[list[Doc]]]  # the rules of all buses, with their "Targets"


class Rules:
    """Keeps the timetable as the side services have the rules."""

    def __init__(self, world: World, read: Reader) -> None:
        self._world = world
        self._read = read
        self._reading = asyncio.Lock()

    async def follow(self, target: str) -> None:
        """Read the rules again if a request (its X-Amz-Target) may have changed one."""
        if target.rpartition(".")[2] in _CHANGES:
            await self.read()

    async def read(self) -> None:
        async with self._reading:
            try:
                rules = await self._read()
            except Exception:
                log.exception("the rules of EventBridge cannot be read")
                return
            self._take(rules)

    def forget(self) -> None:
        """Forget all rules: nobody has them any more."""
        self._world.bus.forget()
        self._take([])

    def _take(self, rules: list[Doc]) -> None:
        world = self._world
        world.bus.take(rules)
        scheduled = {rule["Arn"]: rule for rule in rules if rule.get("ScheduleExpression")}
        known = {a for a in world.timetable if world.timetable[a]["source"] == timetable.EVENTS}
        for arn in known - scheduled.keys():
            timetable.remove(world, arn)
        for arn, rule in scheduled.items():
            if not self._is_known(rule):
                _enter(world, arn, rule)
        world.store.commit()

    def _is_known(self, rule: Doc) -> bool:
        old = self._world.timetable.get(rule["Arn"])
        return old is not None and (old["expression"], old["enabled"], old["targets"]) == (
            rule["ScheduleExpression"],
            _is_enabled(rule),
            rule["Targets"],
        )


def _is_enabled(rule: Doc) -> bool:
    return bool(rule["State"] != "DISABLED")


def _enter(world: World, arn: str, rule: Doc) -> None:
    try:
        timetable.enter(
            world,
            arn,
            source=timetable.EVENTS,
            name=rule["Name"],
            text=rule["ScheduleExpression"],
            enabled=_is_enabled(rule),
            targets=rule["Targets"],
        )
    except ValueError as problem:
        log.warning("%s: not fired: %s", arn, problem)


def check(target: str, body: bytes) -> None:
    """Check the expression and the pattern of a PutRule, which moto looks at but briefly.

    Raises ValidationException or InvalidEventPatternException.
    """
    if target.rpartition(".")[2] != "PutRule":
        return
    try:
        asked = json.loads(body)
        text, wanted = asked.get("ScheduleExpression"), asked.get("EventPattern")
    except (ValueError, AttributeError, RecursionError):
        return  # moto says what is wrong with it
    if isinstance(wanted, str) and wanted:
        _check_pattern(wanted)
    if isinstance(text, str) and text:
        try:
            expression.parse_for_rule(text)
        except ValueError:
            text = "Parameter ScheduleExpression is not valid."
            raise ApiError("ValidationException", text) from None


def _check_pattern(text: str) -> None:
    try:
        pattern.check(json.loads(text))
    except (ValueError, RecursionError) as problem:
        reason = "Invalid JSON" if isinstance(problem, json.JSONDecodeError) else problem
        told = f"Event pattern is not valid. Reason: {reason}"
        raise ApiError("InvalidEventPatternException", told) from None


class RuleReader:
    """Asks the side services for the rules; `locate` says where they listen."""

    def __init__(
        self, identity: Identity, locate: Callable[[], Awaitable[tuple[str, int]]]
    ) -> None:
        self._identity = identity
        self._locate = locate

    async def __call__(self) -> list[Doc]:
        host, port = await self._locate()
        return await asyncio.to_thread(self._all, host, port)

    def _all(self, host: str, port: int) -> list[Doc]:
        buses = self._pages(host, port, "ListEventBuses", "EventBuses", {})
        named = [{"EventBusName": bus["Name"]} for bus in buses]
        rules = (r for each in named for r in self._pages(host, port, "ListRules", "Rules", each))
        return [{**rule, "Targets": self._targets(host, port, rule)} for rule in rules]

    def _targets(self, host: str, port: int, rule: Doc) -> list[Doc]:
        asked = {"Rule": rule["Name"], "EventBusName": rule.get("EventBusName", "default")}
        return list(self._pages(host, port, "ListTargetsByRule", "Targets", asked))

    def _pages(self, host: str, port: int, operation: str, name: str, asked: Doc) -> Iterator[Doc]:
        token = None
        while True:
            answer = self._ask(
                host, port, operation, asked | ({"NextToken": token} if token else {})
            )
            yield from answer.get(name, ())
            token = answer.get("NextToken")
            if not token:
                return

    def _ask(self, host: str, port: int, operation: str, asked: Doc) -> Any:
        own = self._identity
        scope = f"{own.access_key}/20200101/{own.region}/events/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AWSEvents.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, "
            "Signature=0",
        }
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/", json.dumps(asked), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError(f"{operation}: {answer.status}")
            return json.load(answer)
        finally:
            connection.close()
