"""One end of a data channel without its socket: order, acknowledgements, sending again.

Each stream is numbered from 0. A frame counts as delivered when the other end acknowledges it, and
the oldest that is not is sent again: session-manager-plugin drops what comes before its terminal is
ready and waits for that. Time is passed in, in seconds.
Source: session-manager-plugin, src/datachannel/streaming.go and src/config/config.go.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kaiun.errors import SessionError
from kaiun.session import messages
from kaiun.session.frames import SYN, Frame, MessageType, PayloadType, decode

PAYLOAD_LENGTH = 1024  # bytes of the terminal in one frame
FIRST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.2, 1.0
PATIENCE_S = 300.0  # after that long without an acknowledgement nobody is there
KEPT_AHEAD = 10_000  # frames that came before their turn


@dataclass(slots=True)
class _Sent:
    data: bytes
    first_at: float
    at: float


class Channel:
    """`sends` is the type of the own stream's frames, `hears` that of the other's."""

    def __init__(self, sends: MessageType, hears: MessageType) -> None:
        self._sends, self._hears = sends, hears
        self._next = 0
        self._expected = 0
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._ahead: dict[int, Frame] = {}
        self._timing = _Timing()
        self.paused = False  # the other end has asked not to be sent anything
        self.closed: str | None = None  # the other end has closed; why, "" for no reason

    @property
    def unacknowledged(self) -> int:
        """Return how many frames the other end has not acknowledged yet."""
        return len(self._sent)

    def send(self, kind: PayloadType, payload: bytes, now: float) -> bytes:
        """Return the next frame of the own stream, which is kept until it is acknowledged."""
        number, self._next = self._next, self._next + 1
        flags = SYN if number == 0 else 0
        frame = Frame(self._sends, payload, kind, sequence_number=number, flags=flags)
        self._sent[number] = _Sent(frame.encode(), now, now)
        return self._sent[number].data

    def take(self, data: bytes, now: float) -> list[Frame]:
        """Take a message of the other end; return the frames of its stream whose turn it is.

        Each of them is to be acknowledged when it has been dealt with. Raises SessionError.
        """
        frame = decode(data)
        match frame.message_type:
            case self._hears:
                return self._in_order(frame)
            case MessageType.ACKNOWLEDGE:
                self._delivered(frame, now)
            case MessageType.PAUSE:
                self.paused = True
            case MessageType.START:
                self._go_on(now)
            case MessageType.CLOSED:
                self.closed = str(messages.read(frame.payload).get("Output", ""))
        return []

    @staticmethod
    def acknowledge(frame: Frame) -> bytes:
        """Return what tells the other end that a frame has been dealt with."""
        return messages.acknowledgement(frame).encode()

    def due(self, now: float) -> bytes | None:
        """Return the frame that is to be sent again now. Raises SessionError for a dead end."""
        if self.paused or not self._sent:
            return None
        oldest = next(iter(self._sent.values()))
        if now - oldest.first_at > PATIENCE_S:
            raise SessionError("the other end of the session no longer takes what is sent to it")
        if now - oldest.at <= self._timing.timeout_s:
            return None
        oldest.at = now
        return oldest.data

    def _in_order(self, frame: Frame) -> list[Frame]:
        early = frame.sequence_number - self._expected
        if early < 0 or (early > 0 and len(self._ahead) >= KEPT_AHEAD):
            return []
        self._ahead[frame.sequence_number] = frame
        ready = []
        while (following := self._ahead.pop(self._expected, None)) is not None:
            ready.append(following)
            self._expected += 1
        return ready

    def _go_on(self, now: float) -> None:
        """Send again: what waited through the pause has waited for nothing yet."""
        self.paused = False
        for sent in self._sent.values():
            sent.first_at = now

    def _delivered(self, frame: Frame, now: float) -> None:
        number = messages.read(frame.payload).get("AcknowledgedMessageSequenceNumber")
        sent = self._sent.pop(number, None) if isinstance(number, int) else None
        if sent is not None:
            self._timing.measure(now - sent.at)


class _Timing:
    """How long to wait for an acknowledgement: the round trip's mean and four times its spread."""

    def __init__(self) -> None:
        self._mean_s, self._spread_s = 0.1, 0.0
        self.timeout_s = FIRST_TIMEOUT_S

    def measure(self, trip_s: float) -> None:
        self._spread_s += (abs(self._mean_s - trip_s) - self._spread_s) / 4
        self._mean_s += (trip_s - self._mean_s) / 8
        wanted = self._mean_s + max(0.01, 4 * self._spread_s)
        self.timeout_s = min(wanted, LONGEST_TIMEOUT_S)
