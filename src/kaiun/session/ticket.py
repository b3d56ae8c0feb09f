"""What ExecuteCommand answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session, its address, and what opens it once."""

    session_id: str
    stream_url: str  # wss://… or, of the local ECS, ws://127.0.0.1:PORT/…
    token: str = field(repr=False)


def ticket(session: Mapping[str, object]) -> Ticket:
    """Return the `session` of ECS's answer as a ticket."""
    return Ticket(*(str(session[name]) for name in ("sessionId", "streamUrl", "tokenValue")))
