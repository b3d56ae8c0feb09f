"""Commands of tasks: when they run, that none runs twice, what happens to one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kaiun.engine.commands import PREPARE, Commands


class Runtime:
    """Does what it is told once it may; tells what it did."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.may_end = asyncio.Event()
        self.woken: asyncio.Queue[str] = asyncio.Queue()
        self.commands = Commands(self.woken.put_nowait)

    def work(self, what: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.begun.append(what)
            await self.may_end.wait()
            self.done.append(what)

        return run

    def queue(self, task: str, what: str) -> None:
        self.commands.queue(task, what, self.work(f"{what} {task}"))


def test_nothing_begins_before_what_it_follows_from_is_committed() -> None:
    async def begun() -> tuple[list[str], list[str]]:
        runtime = Runtime()
        runtime.queue("t", PREPARE)
        await asyncio.sleep(0)
        before = list(runtime.begun)
        runtime.commands.run()
        await asyncio.sleep(0)
        after = list(runtime.begun)
        await runtime.commands.cancel()
        return before, after

    assert asyncio.run(begun()) == ([], ["prepare t"])


def test_a_command_is_not_given_twice_until_it_is_over() -> None:
    async def begun() -> list[str]:
        runtime = Runtime()
        for _ in range(2):
            runtime.queue("t", "stop web")
            runtime.queue("t", "stop web")
            runtime.commands.run()
            await asyncio.sleep(0)
        runtime.may_end.set()
        assert await runtime.woken.get() == "t"
        runtime.queue("t", "stop web")
        runtime.commands.run()
        assert await runtime.woken.get() == "t"
        return runtime.begun

    assert asyncio.run(begun()) == ["stop web t"] * 2


def test_removal_waits_for_what_is_made_of_the_same_task_alone() -> None:
    async def done() -> list[str]:
        runtime = Runtime()
        runtime.queue("t", PREPARE)
        runtime.queue("t", "start web")
        runtime.queue("t", "stop db")
        runtime.commands.run()
        await runtime.commands.made("another")
        assert runtime.done == []
        runtime.may_end.set()
        await runtime.commands.made("t")
        return runtime.done

    assert {"prepare t", "start web t"} <= set(asyncio.run(done()))


def test_who_asked_is_woken_after_a_failure_too() -> None:
    async def fail() -> None:
        raise OSError("no Docker Engine")

    async def woken() -> str:
        runtime = Runtime()
        runtime.commands.queue("t", "remove", fail)
        runtime.commands.run()
        return await runtime.woken.get()

    assert asyncio.run(woken()) == "t"
