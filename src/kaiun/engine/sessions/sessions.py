"""The door of sessions: the address that ExecuteCommand answers with, and all that are open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kaiun.engine.runtime.base import Execution, Runtime
from kaiun.engine.sessions.conversation import talk
from kaiun.engine.sessions.desk import Session
from kaiun.engine.sessions.wire import Gone, Message, Receive, Send, Wire
from kaiun.engine.world import World
from kaiun.errors import SessionError

log = logging.getLogger(__name__)

PATH = "/v1/data-channel/"  # as Session Manager's service has it
CLOSING_S = 5.0


def stream_url(endpoint: str, session: Session) -> str:
    """Return where a session's data channel is, for an engine at `endpoint` (http://…)."""
    host = endpoint.partition("://")[2]
    return f"ws://{host}{PATH}{session.id}?role=publish_subscribe"


class Sessions:
    """An ASGI application for WebSockets. `runtime` is asked for when a session begins.

    What runs for a session is noted in the store, so that an engine which comes back ends what its
    killed predecessor left running in containers.
    """

    def __init__(self, world: World, runtime: Callable[[], Runtime]) -> None:
        self._world = world
        self._runtime = runtime
        self._open: set[asyncio.Task[None]] = set()
        self._told: asyncio.Future[str] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        wire = Wire(receive, send)
        try:
            token = await wire.accept()
        except (Gone, SessionError, TimeoutError):
            await wire.refuse("A data channel begins with the token of its session.")
            return
        path = str(scope["path"])
        session = self._world.desk.claim(path.removeprefix(PATH), token)
        if session is None:
            await wire.refuse("This token opens no session: it is used, expired or another's.")
            return
        await self._serve(wire, session)

    async def _serve(self, wire: Wire, session: Session) -> None:
        if self._told is None:
            self._told = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(talk(wire, session, self._start, self._told))
        self._open.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._open.discard(task)
            self._forget(session)
        task.result()

    async def _start(self, session: Session, words: list[str]) -> Execution:
        execution = await self._runtime().execute(session.task_id, session.container, words)
        self._world.executions[session.id] = {"execution": execution.id}
        self._world.store.commit()
        return execution

    def _forget(self, session: Session) -> None:
        if session.id in self._world.executions:
            del self._world.executions[session.id]
            self._world.store.commit()

    async def close(self, why: str) -> None:
        """End all sessions, and let nobody open one that was handed out before."""
        self._world.desk.clear()
        told, self._told = self._told, None
        if told is not None:
            told.set_result(why)
        if self._open:
            await asyncio.wait(set(self._open), timeout=CLOSING_S)

    async def end_left(self) -> None:
        """End what sessions of an engine that was killed left running."""
        for key in list(self._world.executions):
            try:
                await self._runtime().hang_up(self._world.executions[key]["execution"])
            except Exception:
                log.exception("what a session left running cannot be ended")
            del self._world.executions[key]
        self._world.store.commit()
