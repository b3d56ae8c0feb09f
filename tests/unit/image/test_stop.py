"""Children end when a stop is requested, when the block fails, and when they are stubborn."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kaiun.errors import ImageError, Interrupted
from kaiun.image.stop import Stop, child, lines

ENDLESS = "echo ready; while :; do sleep 0.05; done"


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_of_both_streams_is_read_line_by_line() -> None:
    script = "echo one; echo two >&2; printf 'three \\377'; exit 3"
    with child(["sh", "-c", script], os.environ, Stop()) as process:
        assert list(lines(process)) == ["one", "two", "three �"]
    assert process.returncode == 3


def test_failing_block_ends_the_child() -> None:
    with pytest.raises(KeyError), child(["sh", "-c", ENDLESS], os.environ, Stop()) as process:
        assert next(lines(process)) == "ready"
        raise KeyError
    assert process.returncode == -signal.SIGINT


def test_grandchildren_that_ignore_ctrl_c_end_with_the_child() -> None:
    script = "sleep 60 & echo $!; wait"  # the shell has it ignore SIGINT
    with pytest.raises(KeyError), child(["sh", "-c", script], os.environ, Stop()) as process:
        pid = int(next(lines(process)))
        raise KeyError
    deadline = time.monotonic() + 5
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(pid)


def test_stop_from_another_thread_ends_the_child_and_raises() -> None:
    stop, ready = Stop(), threading.Event()

    def run() -> None:
        with child(["sh", "-c", ENDLESS], os.environ, stop) as process:
            for _ in lines(process):
                ready.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        assert ready.wait(5)
        stop.request()
        with pytest.raises(Interrupted):
            future.result(5)


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    stop = Stop()
    stop.request()
    with pytest.raises(Interrupted), child(["sleep", "60"], os.environ, stop):
        pytest.fail("the block ran")
    with pytest.raises(Interrupted):
        stop.pause(60)


def test_missing_program_is_an_error() -> None:
    with (
        pytest.raises(ImageError, match="cannot run /nowhere/docker"),
        child(["/nowhere/docker"], os.environ, Stop()),
    ):
        pytest.fail("the block ran")


def test_ctrl_c_on_the_terminal_does_not_reach_the_child_by_itself() -> None:
    with child(["sh", "-c", "echo ready; sleep 0.2"], os.environ, Stop()) as process:
        assert next(lines(process)) == "ready"
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid
