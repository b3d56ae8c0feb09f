"""Who may open which session: each has one token, which opens it once and only for a while.

Nothing of it is kept on disk: a token of an engine that was killed opens nothing.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TOKEN_LIFE_S = 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """What was asked for: a command in a container of a task. `expires_at` is of the clock."""

    id: str
    task_id: str
    container: str
    command: str
    expires_at: float
    token: str = field(repr=False)


class Desk:
    """Hands out sessions that nobody has opened yet. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, Session] = {}

    def make(self, task_id: str, container: str, command: str) -> Session:
        """Return a new session, which waits TOKEN_LIFE_S for whoever has its token."""
        self._forget_expired()
        session = Session(
            id=f"ecs-execute-command-{secrets.token_hex(13)[:25]}",
            task_id=task_id,
            container=container,
            command=command,
            expires_at=self._clock() + TOKEN_LIFE_S,
            token=secrets.token_urlsafe(64),
        )
        self._waiting[session.id] = session
        return session

    def claim(self, session_id: str, token: str) -> Session | None:
        """Return the session that this token opens, which then is open; None for no such."""
        self._forget_expired()
        session = self._waiting.get(session_id)
        if session is None or not hmac.compare_digest(session.token.encode(), token.encode()):
            return None
        return self._waiting.pop(session_id)

    def clear(self) -> None:
        self._waiting.clear()

    def _forget_expired(self) -> None:
        now = self._clock()
        for session in [s for s in self._waiting.values() if s.expires_at <= now]:
            del self._waiting[session.id]
