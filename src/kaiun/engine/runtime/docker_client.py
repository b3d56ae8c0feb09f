"""The connection to the Docker Engine, its answers bit by bit, and what its errors become."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiodocker
import aiohttp

from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.errors import EngineError

Json = dict[str, Any]

UNREACHABLE: Final = (aiodocker.DockerError, aiohttp.ClientError, OSError)
_NO_ANSWER: Final = 900  # aiodocker's status for a connection that cannot be made
_SOCKETS: Final = (Path("/run/docker.sock"), Path("/var/run/docker.sock"))


class Client:
    """`api` is aiodocker's; close() ends every connection."""

    def __init__(self, host: str | None) -> None:
        """Raises EngineError where there is nothing to connect to. `host` None: as usual."""
        address = host or os.environ.get("DOCKER_HOST") or _local_socket()
        self._connector: aiohttp.BaseConnector | None = None
        if address.startswith("unix://"):
            # every followed log holds a connection: no limit on their number
            self._connector = aiohttp.UnixConnector(address.removeprefix("unix://"), limit=0)
            address = "unix://localhost"
        self.api = aiodocker.Docker(address, connector=self._connector)

    async def close(self) -> None:
        await self.api.close()
        if self._connector is not None:
            await self._connector.close()


def _local_socket() -> str:
    found = next((f"unix://{path}" for path in _SOCKETS if path.is_socket()), None)
    if found is None:
        raise EngineError(
            "there is no Docker Engine here",
            hint="install it (Debian: apt-get install docker.io), or set DOCKER_HOST",
        )
    return found


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
    """Yield an answer that comes bit by bit; its connection is closed afterwards, however much
    of it was read."""
    async with docker._query(path, method, params=params, data=data, headers=headers) as answer:
        try:
            yield answer
        finally:
            answer.close()


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        going = error.status == 409 and "in progress" in error.message
        if error.status != 404 and not going:
            raise


@contextlib.contextmanager
def failing_with(code: str) -> Iterator[None]:
    """Turn what Docker, or its absence, says into a RuntimeFailure."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise RuntimeFailure(code, _said(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise RuntimeFailure(code, f"cannot reach the Docker Engine: {error}") from error


def daemon_said(message: str) -> str:
    """Return the words in which the Docker client, and so ECS, quotes the daemon."""
    return f"Error response from daemon: {message}"


def _said(error: aiodocker.DockerError) -> str:
    if error.status == _NO_ANSWER:
        return f"cannot reach the Docker Engine: {error.message}"
    return daemon_said(error.message)


def unreachable(error: Exception) -> EngineError:
    return EngineError(
        f"cannot reach the Docker Engine: {error}",
        hint="is dockerd running, and may this user use its socket (group docker)?",
    )
