"""The agenda of imagined containers: order, once, and that who looks at the clock hears first."""

from __future__ import annotations

import asyncio

from kaiun.engine.clock import Clock
from kaiun.engine.runtime.null_agenda import Agenda


def test_what_is_due_happens_in_its_order_when_it_is_asked_for_and_not_again() -> None:
    async def happened() -> list[list[str]]:
        clock = Clock()
        agenda, told, now = Agenda(clock), list[str](), clock.now()
        agenda.plan(now - 1, lambda: told.append("exit"))
        agenda.plan(now - 2, lambda: told.append("health"))
        agenda.plan(now - 1, lambda: told.append("exit of another"))
        agenda.plan(now + 60, lambda: told.append("much later"))
        agenda.hear()
        heard = list(told)
        await asyncio.sleep(0)  # the timers of what was due
        agenda.hear()
        agenda.close()
        return [heard, told]

    due = ["health", "exit", "exit of another"]
    assert asyncio.run(happened()) == [due, due]


def test_what_nobody_asks_for_happens_by_its_timer() -> None:
    async def happened() -> str:
        clock = Clock()
        agenda, told = Agenda(clock), asyncio.Queue[str]()
        agenda.plan(clock.now() + 0.01, lambda: told.put_nowait("exit"))
        return await told.get()

    assert asyncio.run(happened()) == "exit"


def test_an_agenda_that_is_closed_is_over() -> None:
    async def happened() -> list[str]:
        clock = Clock()
        agenda, told = Agenda(clock), list[str]()
        agenda.plan(clock.now(), lambda: told.append("exit"))
        agenda.close()
        agenda.hear()
        await asyncio.sleep(0)
        return told

    assert asyncio.run(happened()) == []
