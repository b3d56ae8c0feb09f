"""Several processes in one container: order, signals, exit codes, zombies, memory."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from support.entry import Entry, until

# Notes its start and its end, and ends itself with the code in $2 after TERM.
MEMBER = 'echo "+$0" >>log; trap \'echo "-$0" >>log; exit $1\' TERM; while :; do sleep 0.02; done'


def member(name: str, code: int = 0) -> list[str]:
    return ["sh", "-c", MEMBER, name, str(code)]


def crew(entry: Entry, main: list[str], stop_timeout: float = 6, **beside: list[str]) -> Entry:
    others: list[dict[str, Any]] = [{"name": n, "command": c} for n, c in beside.items()]
    web = {"command": main, "with": others, "stop_timeout": stop_timeout}
    return entry.make(processes={"web": web}, keys=["MASTER"])


def log(entry: Entry) -> list[str]:
    path = entry.work / "log"
    return path.read_text().splitlines() if path.exists() else []


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=15)
    return process.returncode, said


def test_all_are_started_and_ended_in_the_reverse_order(entry: Entry) -> None:
    process = crew(entry, member("a"), b=member("b"), c=member("c")).start("web")
    until("all run", lambda: len(log(entry)) == 3)
    process.terminate()
    assert ended(process)[0] == 0
    assert log(entry)[3:] == ["-c", "-b", "-a"]


def test_signal_gives_the_code_of_the_main_process(entry: Entry) -> None:
    process = crew(entry, ["sleep", "60"], b=member("b", 5)).start("web")
    until("all run", lambda: log(entry))
    process.terminate()
    assert ended(process)[0] == 143


def test_first_that_fails_gives_the_code(entry: Entry) -> None:
    process = crew(entry, member("a", 3), b=["sh", "-c", "sleep 0.3; exit 9"]).start("web")
    code, said = ended(process)
    assert code == 9
    assert "kaiun: b ended (exit code 9): the container ends" in said
    assert log(entry) == ["+a", "-a"]


def test_one_that_ends_well_ends_all_well(entry: Entry) -> None:
    assert ended(crew(entry, ["sleep", "0.2"], b=member("b")).start("web"))[0] == 0
    assert log(entry) == ["+b", "-b"]


def test_one_that_ignores_its_signal_is_killed_in_time(entry: Entry) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; echo + >>log; while :; do sleep 0.02; done"]
    process = crew(entry, ["sleep", "60"], stop_timeout=3, b=stubborn).start("web")
    until("all run", lambda: log(entry))
    process.terminate()
    code, said = ended(process)
    assert (code, "b did not end within" in said) == (143, True)


def test_program_that_does_not_exist_ends_the_others(entry: Entry) -> None:
    process = crew(entry, member("a"), b=["no-such"]).start("web")
    code, said = ended(process)
    assert code == 127
    assert "kaiun: start failed at b: cannot run 'no-such'" in said


def test_own_signal_is_used(entry: Entry) -> None:
    quits = [
        "sh",
        "-c",
        "trap 'echo quit >>log; exit 0' QUIT; echo + >>log; while :; do sleep 0.02; done",
    ]
    web = {
        "command": ["sleep", "60"],
        "with": [{"name": "b", "command": quits, "signal": "QUIT"}],
        "stop_timeout": 6,
    }
    process = entry.make(processes={"web": web}).start("web")
    until("it runs", lambda: log(entry))
    process.terminate()
    ended(process)
    assert log(entry) == ["+", "quit"]


def test_whole_group_is_ended(entry: Entry) -> None:
    parent = ["sh", "-c", "sleep 333 & echo $! >>log; wait"]
    process = crew(entry, parent, b=member("b")).start("web")
    until("all run", lambda: len(log(entry)) == 2)
    child = next(line for line in log(entry) if line.isdigit())
    process.terminate()
    ended(process)
    until("the grandchild is gone", lambda: _ended(int(child)))


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_other_signals_are_passed_on(entry: Entry) -> None:
    listens = [
        "sh",
        "-c",
        "trap 'echo usr1 >>log; exit 0' USR1; echo + >>log; while :; do sleep 0.02; done",
    ]
    process = crew(entry, listens, b=member("b")).start("web")
    until("all run", lambda: len(log(entry)) == 2)
    process.send_signal(signal.SIGUSR1)
    assert ended(process)[0] == 0
    assert "usr1" in log(entry)


def test_supervisor_is_small_and_knows_no_key(entry: Entry) -> None:
    process = crew(entry, member("a"), b=member("b"), c=member("c")).start("web", MASTER="s3cret")
    until("all run", lambda: len(log(entry)) == 3)
    proc = Path(f"/proc/{process.pid}")
    rss = next(line for line in (proc / "status").read_text().splitlines() if "VmRSS" in line)
    environ, cmdline = (proc / "environ").read_bytes(), (proc / "cmdline").read_bytes()
    process.terminate()
    ended(process)
    assert int(rss.split()[1]) <= 12 * 1024
    assert b"s3cret" not in environ + cmdline
