"""The ASGI application: who may ask, what they ask for, and who answers.

Order of checks: Host (a name of this machine and our own port); an object of S3 asked for without a
signature is answered by its bucket's policy; all else must not come from a page of another origin
and, but for docker at the door of ECR, be signed, then the service in the credential scope decides.
Services that do not live here go to the side services, streamed both ways.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from kaiun.engine import cloudwatch, multiprotocol, sigv4, taskdoor, taskrole
from kaiun.engine.dispatch import (
    Answer,
    answer_json,
    answer_query,
    answer_rest,
    json_error,
)
from kaiun.engine.ecr import door
from kaiun.engine.eventbus import asked as asked_events
from kaiun.engine.protocol import model as models
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.refusal import DOOR, access_denied, refuse_host, refuse_page, unsigned
from kaiun.engine.s3 import public
from kaiun.engine.schedules import rules
from kaiun.engine.taskdoor import TaskDoor
from kaiun.engine.world import World

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESETS = ("/_kaiun/reset", "/moto-api/reset")  # the second is what suites for moto ask
MAX_BODY = 16 * 1024 * 1024


class Aside(Protocol):
    """Answers a kind of request of its own: the side services do, and sessions."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Admin(Protocol):
    """What the signed admin calls do."""

    def health(self) -> dict[str, Any]: ...
    async def shutdown(self, *, keep_containers: bool) -> None: ...
    async def reset(self) -> None: ...


class App:
    """The application that uvicorn runs."""

    def __init__(
        self,
        world: World,
        aside: Aside,
        admin: Admin,
        event_rules: rules.Rules,
        registry: Aside,
        *,
        tasks: TaskDoor,
        open_reset: bool = False,
    ) -> None:
        self._world = world
        self._event_rules = event_rules
        self._tasks = tasks
        self._open_reset = open_reset
        self._aside = aside
        self._admin = admin
        self._public = public.PublicObjects(aside)
        self._ecr = door.Door(world, registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = sigv4.join_headers(scope["headers"])
        strange = refuse_host(scope, headers)
        for_task = taskdoor.wanted(scope["path"], headers)
        if strange is None and not for_task and (asked := public.wanted(scope, headers)):
            await self._public(scope, asked, send)
            return
        if refusal := strange or refuse_page(headers):
            await _reply(send, Answer(403, "application/json", access_denied(refusal)), "-")
            return
        if for_task:
            await _reply(send, await self._of_task(scope, receive), "-")
        elif door.wanted(scope, headers):
            await self._ecr(scope, headers, receive, send)
        elif (own := await self._own(scope)) is not None:
            await _reply(send, own, "-")
        else:
            await self._signed(scope, headers, receive, send)

    async def _of_task(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to what a container asks of its task."""
        try:
            body = await _read_body(receive)
        except _TooLargeError:
            return Answer(413, "application/json", b'"Request is too large."')
        return await self._tasks.answer(scope["method"], scope["path"], body)

    async def _own(self, scope: Scope) -> Answer | None:
        """Return the answer to what the engine itself is asked without a signature."""
        if scope["path"] == "/_kaiun/health" and scope["method"] in ("GET", "HEAD"):
            health = self._admin.health()
            status = 200 if health["status"] == "ok" else 503
            return Answer(status, "application/json", json.dumps(health).encode())
        may_reset = self._open_reset and scope["server"] != DOOR
        if may_reset and scope["path"] in RESETS and scope["method"] == "POST":
            return await self._administer(RESETS[0], "")
        return None

    async def _signed(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        request_id = str(uuid.uuid4())
        query = scope["query_string"].decode("latin-1")
        request = sigv4.Request(
            scope["method"], scope["raw_path"].decode("latin-1"), query, headers
        )
        try:
            claim = sigv4.read_claim(request)
            body = None if _is_streamed(claim, headers) else await _read_body(receive)
            self._verify(request, claim, body)
            taskrole.check_allowed(self._world, claim, headers.get("x-amz-target", ""))
        except sigv4.SignatureError as problem:
            await _reply(send, unsigned(headers, problem, request_id), request_id)
            return
        except ApiError as refusal:
            await _reply(send, json_error(refusal), request_id)
            return
        except _TooLargeError:
            error = ApiError("RequestEntityTooLargeException", "Request is too large.", status=413)
            await _reply(send, json_error(error), request_id)
            return
        if body is None:
            await self._pass_on(scope, receive, send)
        elif claim.service in models.SERVICES and not cloudwatch.is_for_moto(request, body):
            answer = self._answer(claim.service, request, body, request_id)
            await _reply(send, answer, request_id)
        elif claim.service == "kaiun":
            await _reply(send, await self._administer(scope["path"], query), request_id)
        elif claim.service == "events":
            await self._pass_events(scope, headers.get("x-amz-target", ""), body, send)
        else:
            await self._pass_on(scope, _again(body), send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._aside(scope, receive, send)
        if _changes_bucket(scope):
            self._public.forget()

    async def _pass_events(self, scope: Scope, target: str, body: bytes, send: Send) -> None:
        """Pass on a request of EventBridge, and have the engine follow what it changes."""
        try:
            rules.check(target, body)
            answer = asked_events.answer(self._world, target, body)
        except ApiError as error:
            await _reply(send, json_error(error), str(uuid.uuid4()))
            return
        if answer is not None:
            done = Answer(200, "application/x-amz-json-1.1", json.dumps(answer).encode())
            await _reply(send, done, str(uuid.uuid4()))
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._aside(scope, _again(body), hold)
        await self._event_rules.follow(target)  # whoever has the answer can rely on the rule
        for message in held:
            await send(message)

    def _verify(self, request: sigv4.Request, claim: sigv4.Claim, body: bytes | None) -> None:
        secret_key = taskrole.secret_of(self._world, claim, sigv4.token_of(request))
        sigv4.verify(request, claim, secret_key=secret_key, body=body, now=time.time())

    def _answer(self, service: str, request: sigv4.Request, body: bytes, request_id: str) -> Answer:
        world, protocol = self._world, models.load(service).protocol
        if protocol == multiprotocol.PROTOCOL:
            return multiprotocol.answer(world, service, request, body, request_id)
        if protocol == "query":
            return answer_query(world, service, request.query, body, request_id)
        if protocol == "rest-json":
            return answer_rest(world, service, request, body)
        return answer_json(
            world, service, request.headers.get("x-amz-target", ""), body, request_id
        )

    async def _administer(self, path: str, query: str) -> Answer:
        if path == "/_kaiun/shutdown":
            await self._admin.shutdown(keep_containers="containers=keep" in query)
        elif path == RESETS[0]:
            await self._admin.reset()
            self._public.forget()
        else:
            return json_error(ApiError("UnknownOperationException", path, status=404))
        return Answer(200, "application/json", b'{"status":"ok"}')


def _is_streamed(claim: sigv4.Claim, headers: dict[str, str]) -> bool:
    """S3 says the hash of the payload in a header, so it need not be read to be verified."""
    return claim.service == "s3" and (
        "x-amz-content-sha256" in headers or claim.expires_s is not None
    )


def _changes_bucket(scope: Scope) -> bool:
    """Tell whether a request may change a bucket itself, such as its policy, not an object."""
    inside = scope["raw_path"].strip(b"/").partition(b"/")[2]
    return scope["method"] not in ("GET", "HEAD") and (bool(scope["query_string"]) or not inside)


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class _TooLargeError(Exception):
    pass


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _TooLargeError
    return body


async def _reply(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-amzn-requestid", request_id.encode()),
        *((name.encode(), value.encode()) for name, value in answer.headers),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
