"""The engine's end of one data channel: frames over a WebSocket of ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kaiun.session import messages
from kaiun.session.channel import Channel
from kaiun.session.frames import Frame, MessageType, PayloadType

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WINDOW = 256  # frames on their way; beyond them the container's output waits
WAITING = 4096  # frames of a client that nobody has taken yet; beyond them nothing is read
LOOK_EVERY_S = 0.1  # for frames that are to be sent again
OPENING_S = 15.0
CLOSED, REFUSED = 1000, 1008  # WebSocket close codes


class Gone(Exception):
    """The client has left."""


class Wire:
    """Frames in order; what the client sends is acknowledged when it has been dealt with, so that
    a client goes no faster than the container reads."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._channel = Channel(MessageType.OUTPUT, MessageType.INPUT)
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(WAITING)
        self._moved = asyncio.Condition()  # something was acknowledged
        self._left = False

    async def accept(self) -> str:
        """Accept the connection; return the token that its first message brings.

        Raises Gone, SessionError and TimeoutError.
        """
        await self._receive()
        await self._send({"type": "websocket.accept"})
        async with asyncio.timeout(OPENING_S):
            message = await self._message()
        return str(messages.read(message).get("TokenValue", ""))

    async def listen(self) -> None:
        """Take what the client sends until it leaves. Raises Gone, SessionError for no frame."""
        while True:
            for frame in self._channel.take(await self._message(), time.monotonic()):
                await self._frames.put(frame)
            async with self._moved:
                self._moved.notify_all()

    async def next(self) -> Frame:
        """Return the next frame of the client; `acknowledge` it when it has been dealt with."""
        return await self._frames.get()

    async def acknowledge(self, frame: Frame) -> None:
        await self._put(self._channel.acknowledge(frame))

    async def send(self, kind: PayloadType, payload: bytes) -> None:
        """Send a frame once there is room for one more. Raises Gone."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._channel.unacknowledged < WINDOW)
        await self._put(self._channel.send(kind, payload, time.monotonic()))

    async def send_again(self) -> None:
        """Send what is not acknowledged in time again, for ever. Raises Gone, SessionError."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if (data := self._channel.due(time.monotonic())) is not None:
                await self._put(data)

    async def all_delivered(self) -> None:
        """Return when the client has acknowledged everything."""
        async with self._moved:
            await self._moved.wait_for(lambda: not self._channel.unacknowledged)

    async def close(self, session_id: str, why: str) -> None:
        """Say that the session is over, and end the connection; nothing if the client left."""
        with contextlib.suppress(Gone):
            await self._put(messages.channel_closed(session_id, why).encode())
            await self._tell({"type": "websocket.close", "code": CLOSED, "reason": ""})

    async def refuse(self, why: str) -> None:
        with contextlib.suppress(Gone):
            await self._tell({"type": "websocket.close", "code": REFUSED, "reason": why})

    async def _message(self) -> bytes:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._left = True
            raise Gone
        data: bytes | None = message.get("bytes")
        return data if data is not None else str(message.get("text", "")).encode()

    async def _put(self, data: bytes) -> None:
        await self._tell({"type": "websocket.send", "bytes": data})

    async def _tell(self, message: Message) -> None:
        if self._left:
            raise Gone
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # what uvicorn raises where the client has left
            self._left = True
            raise Gone from None
