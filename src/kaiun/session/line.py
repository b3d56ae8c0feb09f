"""The client's end of one data channel, on a WebSocket, for threads."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Protocol

from kaiun.errors import SessionError
from kaiun.session import messages
from kaiun.session.channel import PAYLOAD_LENGTH, Channel
from kaiun.session.frames import Frame, MessageType, PayloadType
from kaiun.session.ticket import Ticket

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPEN_S = 15.0
WINDOW = 64  # frames on their way; beyond them input waits
LOOK_EVERY_S = 0.1
PING_EVERY_S = 60.0
REFUSED = 1008  # WebSocket close code of the local ECS for a token that opens nothing


class Face(Protocol):
    """Whoever the session is held for. All but what it does in threads of its own is called from
    the thread that holds the session."""

    def begin(self, line: Line) -> None:
        """The session has begun: input may be sent."""

    def show(self, data: bytes) -> None:
        """Take output of the container."""

    def look(self, line: Line) -> None:
        """See whether there is something to be sent; called ten times a second or more."""


class Line:
    """Sends and takes frames. `send` may be called from any thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._channel = Channel(MessageType.INPUT, MessageType.OUTPUT)
        self._moved = threading.Condition()
        self._begun = False
        self.over = False

    def send(self, kind: PayloadType, payload: bytes) -> None:
        """Send a frame at once; nothing once the session is over."""
        with self._moved:
            if not self.over:
                self._put(self._channel.send(kind, payload, time.monotonic()))

    def enter(self, data: bytes) -> None:
        """Send bytes to the terminal in the container, as far as it takes them. Not to be called
        from the thread that holds the session: that hears what was taken."""
        for start in range(0, len(data), PAYLOAD_LENGTH):
            with self._moved:
                self._moved.wait_for(self._has_room)
                self.send(PayloadType.OUTPUT, data[start : start + PAYLOAD_LENGTH])

    def resize(self, columns: int, rows: int) -> None:
        self.send(PayloadType.SIZE, messages.size(columns, rows))

    def hold(self, face: Face) -> str:
        """Hold the session to its end; return what the other end says of it, "" for nothing.

        Raises SessionError where the connection is lost or refused.
        """
        try:
            while self._channel.closed is None:
                self._listen(face)
                self._send_again()
                if self._begun:
                    face.look(self)
            return self._channel.closed
        finally:
            with self._moved:
                self.over = True
                self._moved.notify_all()

    def _listen(self, face: Face) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            data = self._connection.recv(timeout=LOOK_EVERY_S)
        except TimeoutError:
            return
        except ConnectionClosed as problem:
            raise _lost(problem) from None
        with self._moved:
            raw = data if isinstance(data, bytes) else data.encode()
            frames = self._channel.take(raw, time.monotonic())
            self._moved.notify_all()
        for frame in frames:
            self._deal_with(frame, face)
            self._put(self._channel.acknowledge(frame))

    def _deal_with(self, frame: Frame, face: Face) -> None:
        match frame.payload_type:
            case PayloadType.HANDSHAKE_REQUEST:
                self._shake_hands(frame.payload)
            case PayloadType.HANDSHAKE_COMPLETE:
                self._begin(face)
            case PayloadType.OUTPUT | PayloadType.ERROR | PayloadType.STDERR:
                self._begin(face)  # an agent of old days begins without a handshake
                face.show(frame.payload)

    def _begin(self, face: Face) -> None:
        if not self._begun:
            self._begun = True
            face.begin(self)

    def _shake_hands(self, request: bytes) -> None:
        answer, errors = messages.handshake_response(request)
        self.send(PayloadType.HANDSHAKE_RESPONSE, answer)
        if errors:
            raise SessionError(
                f"this session asks for what kaiun cannot do: {', '.join(errors)}",
                hint="aws ecs execute-command, with AWS's session-manager-plugin, can",
            )

    def _send_again(self) -> None:
        with self._moved:
            if (data := self._channel.due(time.monotonic())) is not None:
                self._put(data)

    def _has_room(self) -> bool:
        room = not self._channel.paused and self._channel.unacknowledged < WINDOW
        return self.over or room

    def _put(self, data: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._connection.send(data)
        except ConnectionClosed as problem:
            if threading.current_thread() is threading.main_thread():
                raise _lost(problem) from None
            self.over = True  # whoever holds the session finds out by itself


def hold(ticket: Ticket, face: Face) -> str:
    """Open a session and hold it to its end; see Line.hold. Raises SessionError."""
    with _connect(ticket.stream_url) as connection:
        connection.send(messages.open_channel(ticket.token))
        return Line(connection).hold(face)


def _connect(url: str) -> ClientConnection:
    from websockets.exceptions import InvalidHandshake
    from websockets.sync.client import connect

    away = url.startswith("wss:")  # AWS; the local ECS is asked without TLS or proxy
    try:
        return connect(
            url,
            ssl=ssl.create_default_context() if away else None,
            proxy=True if away else None,
            open_timeout=OPEN_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=None,  # what is not acknowledged tells that nobody is there
            max_size=None,
        )
    except (OSError, InvalidHandshake, TimeoutError) as problem:
        where = url.partition("?")[0]
        raise SessionError(f"the session cannot be opened: {problem}", where=where) from None


def _lost(problem: Exception) -> SessionError:
    received = getattr(problem, "rcvd", None)
    if received is not None and received.code == REFUSED:
        return SessionError(f"the session was refused: {received.reason}")
    return SessionError("the session was cut off")
