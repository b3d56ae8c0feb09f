"""One holder at a time; the lock dies with its holder and leaves no file."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kaiun.errors import ImageError, Interrupted
from kaiun.image.lock import held
from kaiun.image.stop import Stop

HOLD = """
import sys
from pathlib import Path
from kaiun.image.lock import held
from kaiun.image.stop import Stop
with held(Path(sys.argv[1]), "shop:1", Stop(), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def silent() -> None:
    """Hear that one waits."""


def test_second_waits_and_then_has_it(tmp_path: Path) -> None:
    waits, order = threading.Event(), list[str]()

    def second() -> None:
        with held(tmp_path, "shop:1", Stop(), waits.set):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with held(tmp_path, "shop:1", Stop(), silent):
            future = pool.submit(second)
            assert waits.wait(5)
            order.append("first")
        future.result(5)
    assert order == ["first", "second"]


def test_other_images_do_not_wait(tmp_path: Path) -> None:
    def fail() -> None:
        pytest.fail("it waited")

    with held(tmp_path, "shop:1", Stop(), silent), held(tmp_path, "shop:2", Stop(), fail):
        pass


def test_many_at_once_are_never_two_inside(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def enter() -> None:
        with held(tmp_path, "shop:1", Stop(), silent):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(enter) for _ in range(40)]:
            future.result(30)
    assert most == [1]
    assert list((tmp_path / "locks").iterdir()) == []


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
        with held(tmp_path, "shop:1", Stop(), silent):
            pass


def test_who_waits_hears_a_stop(tmp_path: Path) -> None:
    stop = Stop()
    with (
        held(tmp_path, "shop:1", Stop(), silent),
        pytest.raises(Interrupted),
        held(tmp_path, "shop:1", stop, stop.request),
    ):
        pytest.fail("it was let in")


def test_state_home_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ImageError, match="cannot write kaiun's state"),
        held(tmp_path / "file", "shop:1", Stop(), silent),
    ):
        pytest.fail("it was let in")
