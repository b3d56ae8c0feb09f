"""Tokens of sessions: one use, one session, one minute."""

from __future__ import annotations

from kaiun.engine.sessions.desk import TOKEN_LIFE_S, Desk


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_token_opens_its_session_once() -> None:
    desk = Desk()
    session = desk.make("task", "web", "sh")
    assert desk.claim(session.id, session.token) == session
    assert desk.claim(session.id, session.token) is None


def test_token_of_another_session_opens_nothing() -> None:
    desk = Desk()
    one, other = desk.make("task", "web", "sh"), desk.make("task", "web", "sh")
    assert desk.claim(one.id, other.token) is None
    assert desk.claim(one.id, one.token) == one


def test_wrong_token_spoils_nothing() -> None:
    desk = Desk()
    session = desk.make("task", "web", "sh")
    assert desk.claim(session.id, "") is None
    assert desk.claim("ecs-execute-command-none", session.token) is None
    assert desk.claim(session.id, session.token) == session


def test_token_expires() -> None:
    desk = Desk(clock := Clock())
    session = desk.make("task", "web", "sh")
    clock.now = TOKEN_LIFE_S
    assert desk.claim(session.id, session.token) is None


def test_token_is_not_in_what_a_log_would_show() -> None:
    session = Desk().make("task", "web", "sh")
    assert session.token not in repr(session)
