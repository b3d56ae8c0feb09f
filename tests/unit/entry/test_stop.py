"""docker stop during every step: 143, at once, nothing left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.entry import Entry, item, until

OF_GLIBC = 0b11 << 31  # signals 32 and 33, which posix_spawn ignores on its own behalf


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def stop(entry: Entry, steps: list[Any], begun: Path, number: int = signal.SIGTERM) -> int:
    """Start, wait for the first hook's mark, send the signal; return the exit code."""
    mark = item("mark", command=["touch", str(begun)])
    entry.make(steps=[["hooks", [mark]], *steps])
    process = entry.start("sleep", "60")
    try:
        until("the step has begun", begun.exists)
        until("it waits", lambda: _sleeps(process.pid))
        process.send_signal(number)
        return process.wait(5)
    finally:
        process.kill()
        process.communicate()


def _sleeps(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "S" and Path(f"/proc/{pid}/comm").read_text() != "sleep\n"


def kinds(port: int) -> dict[str, list[Any]]:
    fetch = item("x", 30, to="x", retries=3, **{"from": f"http://127.0.0.1:{port}/x"})
    hook = item("x", 30, command=["sleep", "71"])
    check = item("a.tmpl", 30, file="a.tmpl", to="a", check=["sh", "-c", "sleep 72"])
    return {
        "fetch": ["fetch", [fetch]],
        "wait": ["wait", [item(f"http://127.0.0.1:{port}/", 30)]],
        "hooks": ["hooks", [hook]],
        "templates": ["templates", [check]],
    }


@pytest.mark.parametrize("kind", ["fetch", "wait", "hooks", "templates"])
def test_stop_during_a_step_ends_with_143(
    entry: Entry, tmp_path: Path, silent: int, kind: str
) -> None:
    (entry.work / "a.tmpl").write_text("a")
    assert stop(entry, [kinds(silent)[kind]], tmp_path / "begun") == 143
    assert sorted(path.name for path in entry.work.iterdir()) == ["a.tmpl"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_other_signals_end_it_with_their_own_code(
    entry: Entry, tmp_path: Path, number: int, code: int
) -> None:
    steps = [["hooks", [item("x", 30, command=["sleep", "71"])]]]
    assert stop(entry, steps, tmp_path / "begun", number) == code


def test_hook_that_ignores_sigterm_is_killed(entry: Entry, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.05; done"
    entry.make(steps=[["hooks", [item("x", 30, command=["sh", "-c", script])]]])
    process = entry.start("true")
    until("the hook runs", lambda: pid.exists() and pid.read_text())
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 143
    assert not Path(f"/proc/{pid.read_text().strip()}/cmdline").exists() or _gone(pid)


def _gone(pid: Path) -> bool:
    stat = Path(f"/proc/{pid.read_text().strip()}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "Z"


# Signals 32 and 33 are the C library's own: nobody can set them, and what started pytest (a shell
# with a thread library of its own) may have left them ignored.
STANDARD_SIGNALS = 0x7FFFFFFF


def test_program_starts_with_default_signals(entry: Entry) -> None:
    script = "import signal as s; print([s.getsignal(n).name for n in (s.SIGTERM, s.SIGHUP)])"
    ignored = "grep SigIgn /proc/self/status"
    mask = int(entry.make().run("sh", "-c", ignored).stdout.split()[1], 16)
    assert mask & STANDARD_SIGNALS == 0
    done = entry.run(sys.executable, "-c", script)
    assert done.stdout == "['SIG_DFL', 'SIG_DFL']\n"


def test_hook_starts_with_default_signals(entry: Entry) -> None:
    hook = item("x", command=["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"])
    done = entry.make(steps=[["hooks", [hook]]]).run("true")
    masks = [int(line.split()[1], 16) for line in done.stdout.splitlines()]
    assert [mask & ~OF_GLIBC for mask in masks] == [0, 0]


def test_second_signal_does_no_harm(entry: Entry, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = f"trap 'sleep 0.3; exit 1' TERM; touch {begun}; while :; do sleep 0.05; done"
    process = entry.make(steps=[["hooks", [item("x", 30, command=["sh", "-c", script])]]]).start(
        "true"
    )
    until("the hook runs", begun.exists)
    process.terminate()
    process.terminate()
    assert isinstance(process, subprocess.Popen)
    process.communicate(timeout=10)
    assert process.returncode == 143
