"""Delivers what is in the outbox, in its order, at least once.

Tasks that are run and lines of log groups are in one transaction with the delivery's removal. What
goes to the side services is removed when they have answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from itertools import islice
from typing import Final

from kaiun.engine import dispatch
from kaiun.engine.eventbus import inputs
from kaiun.engine.eventbus.bus import service_of
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.schedules.firing import LONGEST_PAUSE_S, policy_of
from kaiun.engine.schedules.requests import Occasion, is_for_ecs, run_task_request
from kaiun.engine.schedules.timetable import EVENTS
from kaiun.engine.sidecall import FAILURES, SideCalls
from kaiun.engine.store import Doc, Table
from kaiun.engine.world import World

log = logging.getLogger(__name__)

BATCH: Final = 10  # messages in one request to a queue
BATCH_BYTES: Final = 200_000
AT_ONCE: Final = 100  # deliveries that the engine makes by itself before others may go on
_JSON: Final = "application/x-amz-json-1.0"


class UndeliverableError(Exception):
    """It cannot be delivered, now or later."""


async def deliver(world: World, calls: SideCalls) -> None:
    """Deliver until cancelled, beside the loop of the core: each outbox by itself, so that tasks
    need not wait for a queue that is full."""
    lanes = [Delivery(world, calls, box) for box in world.bus.outboxes]

    def wake() -> None:
        for lane in lanes:
            lane.wake()

    world.bus.wake = wake
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane.run())


class Delivery:
    """Empties one outbox."""

    def __init__(self, world: World, calls: SideCalls, outbox: Table) -> None:
        self._world = world
        self._calls = calls
        self._outbox = outbox
        self._wake = asyncio.Event()
        self.wake = self._wake.set

    async def run(self) -> None:
        while True:
            self._wake.clear()
            self._world.store.commit()  # nothing is told that is not kept
            await self._deliver_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()

    def _pause_s(self) -> float | None:
        """Return how long there is nothing to do, None for as long as nothing new comes."""
        world = self._world
        due = min((self._outbox[key]["try_at"] for key in self._outbox), default=None)
        return None if due is None else world.clock.real_s(max(0.0, due - world.now()))

    async def _deliver_due(self) -> None:
        outbox = self._outbox
        while keys := self._next():
            deliveries = [outbox[key] for key in keys]
            try:
                await self._deliver(keys, deliveries)
            except UndeliverableError as problem:
                log.warning("%s is not delivered: %s", _name(deliveries[0]), problem)
                self._remove(keys)
            except FAILURES as problem:
                self._put_off(keys, repr(problem))
            except Exception:
                log.exception("%s cannot be delivered", _name(deliveries[0]))
                self._remove(keys)
            self._world.store.commit()

    def _next(self) -> list[str]:
        """Return the keys of what is delivered next: one, or several messages to one queue."""
        outbox, now = self._outbox, self._world.now()
        due = (key for key in outbox if outbox[key]["try_at"] <= now)
        keys = list(islice(due, BATCH))
        queue = _queue_of(outbox[keys[0]]) if keys else ""
        if not queue:
            return keys[:1]
        batch: list[str] = []
        size = 0
        for key in keys:
            size += len(outbox[key]["event"])
            if _queue_of(outbox[key]) != queue or (batch and size > BATCH_BYTES):
                break
            batch.append(key)
        return batch

    async def _deliver(self, keys: list[str], deliveries: list[Doc]) -> None:
        """Raises UndeliverableError, or one of FAILURES."""
        first = deliveries[0]
        if "target" not in first:
            await self._pass_on(first)
        elif _queue_of(first):
            await self._send(first["target"], deliveries)
        elif is_for_ecs(first["target"]):
            if (problem := self._run_task(keys[0], first)) is not None:
                self._put_off(keys, problem)
                return
        else:
            await self._tell(first)
        self._remove(keys)
        if int(keys[-1]) % AT_ONCE == 0:
            await asyncio.sleep(0)

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            if key in self._outbox:  # else the rules went meanwhile
                del self._outbox[key]

    def _put_off(self, keys: list[str], problem: str) -> None:
        """Try again later, within the target's policy."""
        outbox, now = self._outbox, self._world.now()
        for key in (key for key in keys if key in outbox):
            delivery = outbox[key]
            oldest_s, attempts = policy_of(delivery.get("target", {}))
            delivery.setdefault("since", now)
            pause_s = min(2.0 ** delivery["attempt"], LONGEST_PAUSE_S)
            if delivery["attempt"] > attempts or now + pause_s > delivery["since"] + oldest_s:
                log.warning("%s fails and is given up: %s", _name(delivery), problem)
                del outbox[key]
                continue
            delivery |= {"attempt": delivery["attempt"] + 1, "try_at": now + pause_s}
            outbox.touch(key)

    def _run_task(self, key: str, delivery: Doc) -> str | None:
        """Run a target's tasks; return why there is not one."""
        world, rule = self._world, delivery["rule"]
        occasion = Occasion(
            arn=rule,
            execution_id=key,
            moment=world.now(),
            attempt=delivery["attempt"],
            account=world.identity.account,
            region=world.identity.region,
            event=_event(delivery),
        )
        entry = {"source": EVENTS, "name": rule.rpartition("/")[2]}
        try:
            request = run_task_request(entry, delivery["target"], occasion)
            answer = dispatch.perform(world, "ecs", "RunTask", request)
        except (ApiError, ValueError) as refusal:
            raise UndeliverableError(f"RunTask is refused: {refusal}") from None
        assert isinstance(answer, dict)  # noqa: S101  (RunTask's is a document)
        if answer["tasks"]:
            return None
        return ", ".join(sorted({failure["reason"] for failure in answer["failures"]}))

    async def _tell(self, delivery: Doc) -> None:
        target = delivery["target"]
        text = inputs.given(target, _event(delivery), delivery["rule"])
        service, name = service_of(target), target["Arn"].split(":", 5)[-1]
        if service == "logs":
            self._write(name, delivery, text)
        elif service == "events" and name.startswith("event-bus/"):
            bus = name.rpartition("/")[2]
            self._world.bus.put(_event(delivery), bus, hops=delivery["hops"] + 1)
        elif service == "sns":
            form = {"TopicArn": target["Arn"], "Message": text}
            await self._ask("sns", "Publish", form)
        else:
            raise UndeliverableError("nothing here takes events for such a target")

    def _write(self, name: str, delivery: Doc, text: str) -> None:
        """Write a line to a log group, in a stream that is named as the rule."""
        book = self._world.logbook
        group = name.removeprefix("log-group:").removesuffix(":*")
        if group not in book.groups:
            raise UndeliverableError("there is no such log group")
        stream = delivery["rule"].rpartition("/")[2]
        book.ensure_stream(group, stream)
        book.write(group, stream, [(int(self._world.now() * 1000), text)])
        book.flush()

    async def _send(self, target: Doc, deliveries: list[Doc]) -> None:
        """Send messages to a queue."""
        account, queue = target["Arn"].split(":")[4:6]
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        entries = []
        for number, delivery in enumerate(deliveries):
            event = _event(delivery)
            text = inputs.given(target, event, delivery["rule"])
            entry = {"Id": str(number), "MessageBody": text}
            if group:
                entry |= {"MessageGroupId": group, "MessageDeduplicationId": event["id"]}
            entries.append(entry)
        url = f"{self._world.endpoint}/{account}/{queue}"
        answer = await self._ask("sqs", "SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        for failed in json.loads(answer).get("Failed") or ():
            name = _name(deliveries[int(failed["Id"])])
            log.warning("%s is not delivered: %s", name, failed.get("Message", failed["Code"]))

    async def _pass_on(self, delivery: Doc) -> None:
        """Have the side services deliver an event."""
        event = _event(delivery)
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
            "EventBusName": delivery["bus"],
        }
        await self._ask("events", "PutEvents", {"Entries": [entry]})

    async def _ask(self, service: str, operation: str, body: Doc) -> bytes:
        kind, content = _packed(service, operation, body)
        headers = {"Content-Type": kind, "X-Amz-Target": f"{_PREFIXES[service]}.{operation}"}
        status, answer = await self._calls.send(service, "POST", "/", headers, content)
        if status >= 500:
            raise OSError(f"{operation}: {status}")
        if status != 200:
            raise UndeliverableError(answer.decode(errors="replace")[:300])
        return answer


_PREFIXES: Final = {"sqs": "AmazonSQS", "events": "AWSEvents", "sns": ""}


def _packed(service: str, operation: str, body: Doc) -> tuple[str, bytes]:
    """Return content type and body; SNS alone has forms."""
    if service != "sns":
        return _JSON, json.dumps(body).encode()
    from urllib.parse import urlencode

    form = {"Action": operation, "Version": "2010-03-31", **body}
    return "application/x-www-form-urlencoded", urlencode(form).encode()


def _queue_of(delivery: Doc) -> str:
    """Return the ARN of the queue that a delivery goes to, "" for none."""
    arn: str = delivery.get("target", {}).get("Arn", "")
    return arn if arn.startswith("arn:aws:sqs:") else ""


def _event(delivery: Doc) -> Doc:
    event: Doc = json.loads(delivery["event"])
    return event


def _name(delivery: Doc) -> str:
    target = delivery.get("target", {}).get("Arn", "the side services")
    return f"event {_event(delivery)['detail-type']!r} of {delivery.get('rule', '-')} to {target}"
