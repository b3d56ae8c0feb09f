"""Which way a connection goes: a WebSocket is a session, all else is a request of an API."""

from __future__ import annotations

from kaiun.engine import sigv4
from kaiun.engine.refusal import refuse_host, refuse_page
from kaiun.engine.server import Aside, Receive, Scope, Send

REFUSED = 1008  # before it is accepted, a WebSocket closed with whatever code is answered with 403


class Doors:
    """The application that uvicorn runs. Sessions are opened by their token, not by a signature,
    but have to name this endpoint, and must not come from a page, as all that is asked here."""

    def __init__(self, requests: Aside, sessions: Aside) -> None:
        self._requests, self._sessions = requests, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._requests(scope, receive, send)
            return
        headers = sigv4.join_headers(scope["headers"])
        if refuse_host(scope, headers) or refuse_page(headers):
            await receive()
            await send({"type": "websocket.close", "code": REFUSED})
            return
        await self._sessions(scope, receive, send)
