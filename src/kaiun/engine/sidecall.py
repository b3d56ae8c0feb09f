"""Call a side service as the engine itself: one request, one answer."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Mapping

from kaiun.engine.identity import Identity

TIMEOUT_S = 10.0
FAILURES = (OSError, http.client.HTTPException)


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
