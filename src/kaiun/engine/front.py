"""The port that the engine is asked at: bound first, served until the end, other sockets let in."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from kaiun.errors import EngineError

if TYPE_CHECKING:
    import uvicorn

    from kaiun.engine.doors import Doors

HOST: Final = "127.0.0.1"


class Front:
    """A listening socket, and from `serve` to `close` the server behind it."""

    def __init__(self, port: int) -> None:
        """Bind a port, 0 for an ephemeral one. Raises EngineError where it is taken."""
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._server: uvicorn.Server
        self._serving: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def serve(self, app: Doors) -> None:
        """Begin to answer. (uvicorn would end at signals by itself; the engine does, in order.)"""
        import uvicorn

        config = uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # a client that waits for a slow container answers none
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=75,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._serving = asyncio.create_task(self._server._serve([self._listener]))

    async def admit(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Serve what comes in at another socket, the tasks' door, as what comes in at our port."""
        config, server = self._server.config, self._server

        def connection(_loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=server.server_state, app_state={}, _loop=_loop
            )
            return made

        loop = asyncio.get_running_loop()
        return await loop.create_server(connection, sock=listener)

    async def close(self) -> None:
        """End; what is being answered is given two seconds."""
        self._server.should_exit = True
        await self._serving


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as problem:
        raise EngineError(
            f"port {port} cannot be used: {problem.strerror}",
            where=f"{HOST}:{port}",
            hint="kaiun local up --port N",
        ) from problem
    return listener
