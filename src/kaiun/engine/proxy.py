"""Pass a request on to a server on loopback, streamed both ways, and its answer back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"expect")
)
_CORS = b"access-control-"  # the side services let every page read everything
_CHUNK = 256 * 1024
_SAID = b"Nobody answers behind this port; see engine.log."


class Proxy:
    """`locate` starts the server when needed and says where it listens."""

    def __init__(self, locate: Callable[[], Awaitable[tuple[str, int]]]) -> None:
        self._locate = locate

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        try:
            host, port = await self._locate()
            reader, writer = await asyncio.open_connection(host, port)
        except Exception:
            log.exception("nobody answers behind this port")
            await _fail(scope, send)
            return
        try:
            sent = await _send_request(scope, receive, writer)
            if sent and not await _pass_answer(reader, send):
                await _fail(scope, send)
        finally:
            writer.close()


async def _send_request(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    writer: asyncio.StreamWriter,
) -> bool:
    """Return whether there is somebody left to answer to. What is answered to before all of it is
    read ends the sending, not the answer."""
    with contextlib.suppress(ConnectionError):
        return await _send_parts(scope, receive, writer)
    return True


async def _send_parts(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    writer: asyncio.StreamWriter,
) -> bool:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    line = scope["method"].encode() + b" " + scope["raw_path"] + query + b" HTTP/1.1\r\n"
    headers = [(n, v) for n, v in scope["headers"] if n.lower() not in _HOP]
    sized = any(n.lower() == b"content-length" for n, _ in headers)
    chunked = not sized and any(n.lower() == b"transfer-encoding" for n, _ in scope["headers"])
    headers.append((b"connection", b"close"))
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    writer.write(line + b"".join(n + b": " + v + b"\r\n" for n, v in headers) + b"\r\n")
    more = sized or chunked
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        body, more = message.get("body", b""), message.get("more_body", False)
        if body:
            writer.write(b"%x\r\n%s\r\n" % (len(body), body) if chunked else body)
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


class _Answer:
    """Collects what httptools finds in the answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.head_done = False
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.done = True


async def _pass_answer(
    reader: asyncio.StreamReader, send: Callable[[Message], Awaitable[None]]
) -> bool:
    """Return False, having sent nothing, where there is no answer."""
    import httptools

    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    started = False
    while not answer.done:
        data = await reader.read(_CHUNK)
        if not data:
            break
        parser.feed_data(data)
        if answer.head_done and not started:
            started = True
            kept = [(n, v) for n, v in answer.headers if n not in _HOP and not n.startswith(_CORS)]
            status = parser.get_status_code()
            await send({"type": "http.response.start", "status": status, "headers": kept})
        while answer.body:
            body = answer.body.pop(0)
            await send({"type": "http.response.body", "body": body, "more_body": True})
    if started:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return started


async def _fail(
    scope: MutableMapping[str, Any], send: Callable[[Message], Awaitable[None]]
) -> None:
    content_type, body = _unavailable(dict(scope["headers"]))
    size = str(len(body)).encode()
    headers = [(b"content-type", content_type), (b"content-length", size)]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _unavailable(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return content type and body of the error, in the protocol that was spoken."""
    content_type = headers.get(b"content-type", b"")
    if b"x-amz-target" in headers or b"json" in content_type:
        error = b'{"__type":"ServiceUnavailableException","message":"%s"}' % _SAID
        return b"application/json", error
    error = b"<Error><Code>ServiceUnavailable</Code><Message>%s</Message></Error>" % _SAID
    if b"/ec2/aws4_request" in headers.get(b"authorization", b""):
        error = b"<Response><Errors>%s</Errors></Response>" % error
    elif b"form-urlencoded" in content_type:
        error = b"<ErrorResponse>%s</ErrorResponse>" % error
    return b"text/xml", error
