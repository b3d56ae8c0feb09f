"""Every line of every container arrives once, in order, whatever happens to the engine."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.containers import Harness, docker, until

from kaiun.engine.fluent import FluentReceiver, FluentRecord
from kaiun.engine.runtime.base import LogLine
from kaiun.engine.runtime.docker import DockerRuntime

pytestmark = pytest.mark.docker

Run = Callable[[Callable[[], Awaitable[None]]], None]
COUNT = "i=0; while [ $i -lt {} ]; do i=$((i+1)); echo line $i; done"
TICK = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.005; done"


def numbered(count: int) -> list[str]:
    return [f"line {i}" for i in range(1, count + 1)]


def test_lines_arrive_before_the_exit_is_told(harness: Harness, run: Run) -> None:
    async def body() -> None:
        await harness.up(harness.task(harness.shell(COUNT.format(2000))))
        ended = await harness.exited("app")
        assert [line.message for line in harness.lines] == numbered(2000)
        assert ended.started_at is not None
        stamps = [line.timestamp_ms for line in harness.lines]
        assert stamps == sorted(stamps)
        assert abs(stamps[0] - ended.started_at * 1000) < 2000

    run(body)


@pytest.mark.parametrize("driver", ["awslogs", "splunk"])
def test_drivers_without_a_far_end_are_read_here(harness: Harness, run: Run, driver: str) -> None:
    async def body() -> None:
        options = {"awslogs-group": "g"}
        spec = harness.shell("echo hi; echo no >&2", log_driver=driver, log_options=options)
        await harness.up(harness.task(spec))
        await harness.exited("app")
        assert {(x.message, x.stream) for x in harness.lines} == {
            ("hi", "stdout"),
            ("no", "stderr"),
        }

    run(body)


def test_long_line_and_last_line_without_newline_come_whole(harness: Harness, run: Run) -> None:
    async def body() -> None:
        script = "head -c 50000 /dev/zero | tr '\\0' x; echo; printf end"
        await harness.up(harness.task(harness.shell(script)))
        await harness.exited("app")
        assert [line.message for line in harness.lines] == ["x" * 50000, "end"]

    run(body)


def test_lines_written_while_no_engine_runs_come_later_and_none_twice(
    harness: Harness, run: Run
) -> None:
    def grown(count: int) -> bool:
        return len(harness.lines) > count

    async def body() -> None:
        observation = await harness.up(harness.task(harness.shell(TICK)))
        for _ in range(3):
            await harness.runtime.close()
            count = len(harness.lines)
            await asyncio.to_thread(docker, "exec", observation.runtime_id, "sleep", "0.3")
            await harness.open()
            await until(functools.partial(grown, count + 20))
        docker("kill", observation.runtime_id)
        await harness.exited("app")
        assert [line.message for line in harness.lines] == numbered(len(harness.lines))

    run(body)


def test_container_that_ended_while_no_engine_ran_is_read_to_its_end(
    harness: Harness, run: Run
) -> None:
    async def body() -> None:
        script = "echo first; until test -e /tmp/go; do sleep 0.02; done; echo last"
        observation = await harness.up(harness.task(harness.shell(script)))
        await until(lambda: harness.lines)
        await harness.runtime.close()
        docker("exec", observation.runtime_id, "touch", "/tmp/go")
        docker("wait", observation.runtime_id)
        for _ in range(2):
            await harness.open()
            await harness.exited("app")
            await harness.runtime.close()
        assert [line.message for line in harness.lines] == ["first", "last"]
        await harness.open()

    run(body)


async def some_lines(engine_id: str, home: Path) -> list[str]:
    """Return the lines that were kept, of an engine that crashes with more in its hands."""
    lines: list[LogLine] = []
    runtime = DockerRuntime(engine_id, home, positions_on_request=True)
    await runtime.open(lambda seen: None, lines.append)
    await until(lambda: len(lines) > 10)
    runtime.lines_kept()
    kept = len(lines)
    await until(lambda: len(lines) > kept + 10)
    await runtime.close()
    return [line.message for line in lines[:kept]]


def test_lines_that_were_not_kept_come_again_after_a_crash(harness: Harness, run: Run) -> None:
    async def body() -> None:
        engine, home = harness.engine_id, harness.home / "deferring"
        observation = await harness.up(harness.task(harness.shell(TICK)))
        await harness.runtime.close()
        first = await some_lines(engine, home)
        second = await some_lines(engine, home)
        docker("kill", observation.runtime_id)
        assert first + second == numbered(len(first) + len(second))

    run(body)


def test_terminal_output_is_read(harness: Harness, run: Run) -> None:
    async def body() -> None:
        await harness.up(harness.task(harness.shell("echo one; echo two", tty=True)))
        await harness.exited("app")
        assert [line.message for line in harness.lines] == ["one", "two"]

    run(body)


def fluent_options(port: int) -> dict[str, str]:
    return {"fluentd-address": f"127.0.0.1:{port}", "tag": "/kaiun/test"}


def test_fluentd_records_arrive(harness: Harness, run: Run) -> None:
    async def body() -> None:
        records: list[FluentRecord] = []
        receiver = FluentReceiver("127.0.0.1", 0, records.append)
        await receiver.start()
        options = fluent_options(receiver.port)
        script = "head -c 40000 /dev/zero | tr '\\0' x; echo; echo bad >&2"
        spec = harness.shell(script, log_driver="fluentd", log_options=options)
        observation = await harness.up(harness.task(spec))
        await until(lambda: len(records) == 2)
        assert {(r.tag, r.container_id, r.message, r.source) for r in records} == {
            ("/kaiun/test", observation.runtime_id, "x" * 40000, "stdout"),
            ("/kaiun/test", observation.runtime_id, "bad", "stderr"),
        }
        assert observation.started_at is not None
        assert abs(records[0].timestamp_ms - observation.started_at * 1000) < 2000
        assert harness.lines == []
        await receiver.close()

    run(body)


def test_container_starts_and_stops_while_the_receiver_is_away(harness: Harness, run: Run) -> None:
    async def body() -> None:
        receiver = FluentReceiver("127.0.0.1", 0, lambda record: None)
        await receiver.start()
        port = receiver.port
        await receiver.close()
        options = fluent_options(port)
        spec = harness.shell(
            "echo early; exec sleep 100", log_driver="fluentd", log_options=options
        )
        task = harness.task(spec)
        async with asyncio.timeout(10):
            await harness.up(task)
            await harness.runtime.stop(task.task_id, "app", 0)
            await harness.exited("app")
            await harness.runtime.remove(task.task_id)

    run(body)


def test_records_written_while_the_receiver_was_away_come_when_it_is_back(
    harness: Harness, run: Run
) -> None:
    async def body() -> None:
        records: list[FluentRecord] = []
        receiver = FluentReceiver("127.0.0.1", 0, records.append)
        await receiver.start()
        port = receiver.port
        script = "echo before; until test -e /tmp/go; do sleep 0.02; done; echo away; sleep 100"
        spec = harness.shell(script, log_driver="fluentd", log_options=fluent_options(port))
        observation = await harness.up(harness.task(spec))
        await until(lambda: records)
        await receiver.close()
        docker("exec", observation.runtime_id, "touch", "/tmp/go")
        docker("exec", observation.runtime_id, "sleep", "0.3")
        receiver = FluentReceiver("127.0.0.1", port, records.append)
        await receiver.start()
        await until(lambda: len(records) > 1)
        assert [record.message for record in records] == ["before", "away"]
        await receiver.close()

    run(body)
