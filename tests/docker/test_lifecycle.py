"""Containers begin, end, are stopped and are found again as the runtime's contract says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from support.containers import Harness, docker, until

from kaiun.engine.runtime.base import (
    ContainerStatus,
    HealthCheck,
    Observation,
    RuntimeFailure,
)
from kaiun.engine.runtime.docker import DockerRuntime
from kaiun.engine.runtime.docker_watch import Watcher

pytestmark = pytest.mark.docker

Run = Callable[[Callable[[], Awaitable[None]]], None]
FOREVER = "exec sleep 1000"
DEAF = "trap '' TERM; while :; do sleep 1; done"


@pytest.mark.parametrize("code", [0, 7])
def test_exit_code_is_the_containers_own(harness: Harness, run: Run, code: int) -> None:
    async def body() -> None:
        await harness.up(harness.task(harness.shell(f"exit {code}")))
        ended = await harness.exited("app")
        assert (ended.exit_code, ended.reason) == (code, None)
        assert ended.started_at is not None
        assert ended.finished_at is not None

    run(body)


def test_stop_sends_sigterm_and_returns_when_stopped(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell("trap 'exit 3' TERM; while :; do sleep 0.05; done"))
        await harness.up(task)
        await harness.runtime.stop(task.task_id, "app", 20)
        assert (await harness.exited("app")).exit_code == 3

    run(body)


def test_stop_kills_what_does_not_listen(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell(DEAF))
        await harness.up(task)
        began = time.monotonic()
        await harness.runtime.stop(task.task_id, "app", 1)
        assert time.monotonic() - began >= 1
        assert (await harness.exited("app")).exit_code == 137

    run(body)


def test_stop_of_the_unknown_and_of_the_stopped_does_nothing(harness: Harness, run: Run) -> None:
    async def body() -> None:
        await harness.runtime.stop("f" * 32, "app", 1)
        task = harness.task(harness.shell("exit 0"))
        await harness.up(task)
        await harness.exited("app")
        await harness.runtime.stop(task.task_id, "app", 1)

    run(body)


def test_out_of_memory_is_named(harness: Harness, run: Run) -> None:
    async def body() -> None:
        script = "x=x; while :; do x=$x$x$x$x; done"
        await harness.up(harness.task(harness.shell(script, memory_mib=16)))
        ended = await harness.exited("app")
        assert ended.exit_code == 137
        assert ended.reason == "OutOfMemoryError: Container killed due to memory usage"

    run(body)


def test_health_check_of_the_task_definition_is_reported(harness: Harness, run: Run) -> None:
    async def body() -> None:
        check = HealthCheck(("CMD-SHELL", "test ! -e /tmp/sick"), interval_s=1, retries=1)
        task = harness.task(harness.shell(FOREVER, health_check=check))
        await harness.up(task)

        def is_now(health: str) -> bool:
            last = harness.last("app")
            return last is not None and last.health == health

        await until(lambda: is_now("HEALTHY"))
        last = harness.last("app")
        assert last is not None
        docker("exec", last.runtime_id, "touch", "/tmp/sick")
        await until(lambda: is_now("UNHEALTHY"))

    run(body)


def test_health_check_of_the_image_is_ignored(harness: Harness, run: Run) -> None:
    async def body() -> None:
        tag = f"kaiun-test-checked:{harness.engine_id}"
        made = docker("create", harness.image, "true")
        docker("commit", "--change", "HEALTHCHECK --interval=1s CMD false", made, tag)
        docker("rm", made)
        try:
            spec = replace(harness.shell(FOREVER), image=tag)
            observation = await harness.up(harness.task(spec))
            shown = docker("inspect", "-f", "{{json .State.Health}}", observation.runtime_id)
            assert shown == "null"
            await harness.runtime.remove(observation.task_id)
        finally:
            docker("rmi", tag)

    run(body)


def test_start_again_finds_the_container_and_makes_no_second(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell(FOREVER))
        first = await harness.up(task)
        second = await harness.runtime.start(task, "app")
        assert first == second
        label = f"label=kaiun.engine={harness.engine_id}"
        assert len(docker("ps", "-aq", "--filter", label).split()) == 1

    run(body)


def test_start_does_not_run_a_second_time_what_has_ended(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell("exit 5"))
        await harness.up(task)
        ended = await harness.exited("app")
        assert await harness.runtime.start(task, "app") == ended

    run(body)


def test_remove_leaves_nothing_and_is_silent_about_the_unknown(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(harness.shell(FOREVER))
        await harness.up(task)
        assert await harness.runtime.tasks() == {task.task_id}
        await harness.runtime.remove(task.task_id)
        await harness.runtime.remove(task.task_id)
        assert await harness.runtime.tasks() == set()
        assert all(o.status is not ContainerStatus.GONE for o in harness.seen)

    run(body)


def test_container_removed_behind_our_back_is_gone(harness: Harness, run: Run) -> None:
    async def body() -> None:
        observation = await harness.up(harness.task(harness.shell(FOREVER)))
        docker("rm", "-f", observation.runtime_id)

        def gone() -> Observation | None:
            last = harness.last("app")
            return last if last and last.status is ContainerStatus.GONE else None

        await until(gone)

    run(body)


def test_next_engine_adopts_what_runs_and_learns_what_ended(harness: Harness, run: Run) -> None:
    async def body() -> None:
        stays, ends = harness.task(harness.shell(FOREVER)), harness.task(harness.shell(FOREVER))
        first = await harness.up(stays)
        other = await harness.up(ends)
        await harness.runtime.close()
        docker("kill", other.runtime_id)
        harness.seen.clear()

        await harness.open()
        assert harness.last("app", stays.task_id) == first
        ended = harness.last("app", ends.task_id)
        assert ended is not None
        assert (ended.status, ended.exit_code) == (ContainerStatus.EXITED, 137)
        assert await harness.runtime.start(stays, "app") == first

    run(body)


def test_containers_of_another_engine_are_none_of_ours(harness: Harness, run: Run) -> None:
    async def body() -> None:
        await harness.up(harness.task(harness.shell(FOREVER)))
        seen: list[Observation] = []
        other = DockerRuntime("0" * 32, harness.home / "other")
        await other.open(seen.append, lambda line: None)
        assert await other.tasks() == set()
        await other.close()
        assert seen == []

    run(body)


def test_missing_image_cannot_be_pulled(harness: Harness, run: Run) -> None:
    async def body() -> None:
        image = "127.0.0.1:9/nowhere@sha256:" + "0" * 64
        task = harness.task(replace(harness.shell("exit"), image=image))
        with pytest.raises(RuntimeFailure, match=r"^CannotPullContainerError: Error response"):
            await harness.runtime.prepare(task)

    run(body)


def test_missing_program_cannot_be_started(harness: Harness, run: Run) -> None:
    async def body() -> None:
        task = harness.task(replace(harness.shell(""), entry_point=("/no/such",), command=()))
        await harness.runtime.prepare(task)
        with pytest.raises(
            RuntimeFailure, match=r"^CannotStartContainerError: .*no/such"
        ) as raised:
            await harness.runtime.start(task, "app")
        assert raised.value.code == "CannotStartContainerError"

    run(body)


def test_many_containers_start_side_by_side(harness: Harness, run: Run) -> None:
    async def body() -> None:
        tasks = [harness.task(harness.shell(FOREVER)) for _ in range(5)]
        started = await asyncio.gather(*map(harness.up, tasks))
        assert {o.status for o in started} == {ContainerStatus.RUNNING}
        assert await harness.runtime.tasks() == {task.task_id for task in tasks}
        await asyncio.gather(*(harness.runtime.remove(task.task_id) for task in tasks))

    run(body)


def test_container_is_restarted_in_place_and_its_log_goes_on(harness: Harness, run: Run) -> None:
    async def body() -> None:
        script = "echo run $(cat /count 2>/dev/null); echo again >> /count; exit 3"
        task = harness.task(harness.shell(script))
        first = await harness.up(task)
        await harness.exited("app")
        for _ in range(2):
            before = len(harness.seen)
            again = await harness.runtime.restart(task, "app")
            assert again.runtime_id == first.runtime_id

            def over(before: int = before) -> bool:
                return any(o.status is ContainerStatus.EXITED for o in harness.seen[before:])

            await until(over)
        await until(lambda: len(harness.lines) == 3)
        said = [line.message for line in harness.lines]
        assert said == ["run", "run again", "run again again"]

    run(body)


def test_run_that_ends_before_anybody_looks_keeps_its_lines(
    harness: Harness, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = Watcher.refresh

    async def late(self: Watcher, container_id: str) -> None:
        await asyncio.to_thread(docker, "wait", container_id)
        await refresh(self, container_id)

    monkeypatch.setattr(Watcher, "refresh", late)
    monkeypatch.setattr(Watcher, "_on_event", lambda self, event: None)

    async def body() -> None:
        task = harness.task(harness.shell("echo run $(cat /count 2>/dev/null); echo 2 >/count"))
        assert (await harness.up(task)).status is ContainerStatus.EXITED
        assert (await harness.runtime.restart(task, "app")).status is ContainerStatus.EXITED
        assert [line.message for line in harness.lines] == ["run", "run 2"]

    run(body)
