"""Call a side service as the engine itself: one request, one answer."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kaiun.engine.identity import Identity

TIMEOUT_S = 10.0
FAILURES = (OSError, http.client.HTTPException)


class CallFailure(Exception):
    """A side service gave no answer, or an error: its code and message."""


class SideCalls:
    """`locate` starts the side services when needed and says where they listen."""

    def __init__(
        self, identity: Identity, locate: Callable[[], Awaitable[tuple[str, int]]]
    ) -> None:
        self._identity = identity
        self._locate = locate

    async def send(
        self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Return status and body of the answer. Raises one of FAILURES where there is none."""
        host, port = await self._locate()
        signed = {**headers, **self._identity.routed(service)}

        def exchange() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
            try:
                connection.request(method, path, body, signed)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return await asyncio.to_thread(exchange)

    async def ask(self, service: str, target: str, body: Mapping[str, Any]) -> Any:
        """Return the answer of a service that speaks JSON 1.1. Raises CallFailure."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        try:
            status, text = await self.send(service, "POST", "/", headers, json.dumps(body).encode())
            answer = json.loads(text)
        except (*FAILURES, ValueError) as problem:
            raise CallFailure(f"{service} does not answer: {problem}") from problem
        if status != 200:
            code = str(answer.get("__type", "")).rpartition("#")[2]
            raise CallFailure(f"{code}: {answer.get('message', answer.get('Message', ''))}")
        return answer
