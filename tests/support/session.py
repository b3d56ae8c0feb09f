"""The client's end of a data channel, frame by frame, and faces that need no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from websockets.sync.client import ClientConnection, connect

from kaiun.session import messages
from kaiun.session.frames import Frame, MessageType, PayloadType, decode
from kaiun.session.line import Line, hold
from kaiun.session.ticket import ticket
from support.engine import DEADLINE_S


class Hand:
    """A client that does by hand what it is told to, right or wrong."""

    def __init__(self, session: dict[str, str], token: str | None = None) -> None:
        self._stack = ExitStack()
        self.connection: ClientConnection = self._stack.enter_context(
            connect(session["streamUrl"], proxy=None)
        )
        opening = messages.open_channel(session["tokenValue"] if token is None else token)
        self.connection.send(opening)
        self._number = 0

    def close(self) -> None:
        self._stack.close()

    def next(self, timeout_s: float = DEADLINE_S) -> Frame:
        """Return the next frame. Raises ConnectionClosed and TimeoutError."""
        data = self.connection.recv(timeout=timeout_s)
        assert isinstance(data, bytes)
        return decode(data)

    def output(self, number: int | None = None) -> Frame:
        """Return the next frame of the container's stream, or that of one number."""
        while True:
            frame = self.next()
            if frame.message_type == MessageType.OUTPUT and number in (None, frame.sequence_number):
                return frame

    def acknowledge(self, frame: Frame) -> None:
        self.connection.send(messages.acknowledgement(frame).encode())

    def send(self, kind: PayloadType, payload: bytes) -> None:
        frame = Frame(MessageType.INPUT, payload, kind, sequence_number=self._number)
        self._number += 1
        self.connection.send(frame.encode())

    def shake_hands(self) -> None:
        """Answer the handshake; return when it is complete."""
        request = self.output()
        assert request.payload_type == PayloadType.HANDSHAKE_REQUEST
        self.acknowledge(request)
        answer, _ = messages.handshake_response(request.payload)
        self.send(PayloadType.HANDSHAKE_RESPONSE, answer)
        complete = self.output()
        assert complete.payload_type == PayloadType.HANDSHAKE_COMPLETE
        self.acknowledge(complete)


class Held:
    """A session held by kaiun's client in a thread; what it shows is collected."""

    def __init__(self, session: dict[str, Any], read: Callable[[bytes], bytes] = bytes) -> None:
        self.shown = b""
        self.said: str | None = None
        self.problem: Exception | None = None
        self._read = read
        self._line: Line | None = None
        self._thread = threading.Thread(target=self._hold, args=(session,), daemon=True)
        self._thread.start()

    def begin(self, line: Line) -> None:
        line.resize(80, 24)
        self._line = line

    def show(self, data: bytes) -> None:
        self.shown += self._read(data)

    def look(self, line: Line) -> None:
        """There is no terminal that could change its size."""

    def enter(self, data: bytes) -> None:
        self._wait(lambda: self._line is not None)
        assert self._line is not None
        self._line.enter(data)

    def resize(self, columns: int, rows: int) -> None:
        self._wait(lambda: self._line is not None)
        assert self._line is not None
        self._line.resize(columns, rows)

    def sees(self, text: bytes) -> None:
        self._wait(lambda: text in self.shown)

    def ends(self) -> str:
        """Return what the other end said at the end. Raises SessionError where it was lost."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), self.shown
        if self.problem is not None:
            raise self.problem
        assert self.said is not None
        return self.said

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, self.shown
            time.sleep(0.01)

    def _hold(self, session: dict[str, Any]) -> None:
        try:
            self.said = hold(ticket(session), self)
        except Exception as problem:  # noqa: BLE001  (told by `ends`)
            self.problem = problem
