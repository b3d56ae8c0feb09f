"""Answers of the Docker Engine that come bit by bit: events, logs, pulls."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import aiodocker
    import aiohttp


@contextlib.asynccontextmanager
async def stream(
    docker: aiodocker.Docker,
    path: str,
    params: Mapping[str, str | int],
    *,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yield the answer; its connection is closed afterwards, however much of it was read."""
    async with docker._query(path, method, params=params, data=data, headers=headers) as answer:
        try:
            yield answer
        finally:
            answer.close()
