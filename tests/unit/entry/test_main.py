"""One start, as a process: words, environments, exit codes, the one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from support.entry import Entry, item, last_line, part, until

WEB = {"web": {"command": ["printf", "%s\n", "web"]}}


def test_unknown_command_is_executed_untouched(entry: Entry) -> None:
    done = entry.make().run("sh", "-c", "echo $0 $1; exit 7", "a b", "c")
    assert (done.stdout, done.stderr, done.returncode) == ("a b c\n", "", 7)


def test_command_becomes_the_very_process(entry: Entry) -> None:
    process = entry.make(processes={"web": {"command": ["sleep", "30"]}}).start("web")
    try:
        comm = Path(f"/proc/{process.pid}/comm")
        until("it is sleep", lambda: comm.read_text() == "sleep\n")
    finally:
        process.kill()
        process.communicate()


def test_environment_is_left_as_it_was(entry: Entry) -> None:
    done = entry.make().run("env", LANG="C", ODD="a\udcffb")
    lines = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert lines == {"PATH": os.environ["PATH"], "LANG": "C", "ODD": lines["ODD"]}


def test_process_takes_further_arguments(entry: Entry) -> None:
    entry.make(processes=WEB)
    assert entry.run("web", "-p", "1").stdout == "web\n-p\n1\n"
    assert entry.run("web", "--", "echo", "other").stdout == "other\n"
    assert entry.run("web", "--").stdout == "web\n--\n"


def test_process_knows_its_name(entry: Entry) -> None:
    entry.make(processes={"web": {"command": ["printenv", "KAIUN_PROCESS"]}})
    assert entry.run("web").stdout == "web\n"
    assert entry.run("printenv", "KAIUN_PROCESS").returncode == 1


def test_own_entry_point_of_the_image_stays_before_the_command(entry: Entry) -> None:
    entry.write({"": part(processes=WEB)}, entrypoint=["echo", "first"])
    assert entry.run("web").stdout == "first printf %s\n web\n"
    assert entry.run("ls").stdout == "first ls\n"


def test_process_without_a_command_runs_that_of_the_image(entry: Entry) -> None:
    entry.write({"": part(processes={"web": {"command": None}})}, command=["echo", "image"])
    assert entry.run("web", "too").stdout == "image too\n"


def test_tasks_are_listed_and_run(entry: Entry) -> None:
    entry.make(tasks={"migrate": {"command": ["echo", "up"]}, "a": {"command": ["true"]}})
    assert entry.run("tasks").stdout == "a\nmigrate\n"
    assert entry.run("tasks", "migrate", "x").stdout == "up x\n"
    done = entry.run("tasks", "mirgate")
    assert (done.returncode, last_line(done)) == (
        64,
        "kaiun: start failed: there is no task 'mirgate', there are: a, migrate",
    )


def test_console_is_that_of_kaiun_yml_else_that_of_the_app(entry: Entry) -> None:
    entry.make(console=["echo", "console"])
    assert entry.run("console", "-s").stdout == "console -s\n"
    entry.make()
    assert "no console" in last_line(entry.run("console"))
    rails = entry.work / "bin/rails"
    rails.parent.mkdir()
    rails.write_text("#!/bin/sh\necho rails $*\n")
    rails.chmod(0o755)
    assert entry.run("console", "-s").stdout == "rails console -s\n"


def test_shell_is_given_though_a_step_fails(entry: Entry) -> None:
    entry.make(steps=[["require", [item("DATABASE_URL")]]])
    done = entry.run("shell", "-c", "echo here")
    assert (done.stdout, done.returncode) == ("here\n", 0)
    assert "DATABASE_URL is not set (a shell all the same)" in done.stderr
    assert entry.run("sh").returncode == 0
    assert entry.run("sh", "-c", "echo here").returncode == 65


def test_placeholder_that_only_deploy_fills_is_refused(entry: Entry) -> None:
    entry.make(processes={"web": {"command": ["echo", "${env:PORT}"]}})
    done = entry.run("web")
    assert done.returncode == 64
    assert "only `kaiun deploy` fills ${env:PORT}" in last_line(done)
    assert entry.run("web", "--", "echo", "3000").stdout == "3000\n"


def test_environment_chooses_its_part(entry: Entry) -> None:
    parts = {name: part(processes={"web": {"command": ["echo", name]}}) for name in ("", "b")}
    entry.write(parts)
    assert entry.run("web", KAIUN_ENVIRONMENT="b").stdout == "b\n"
    assert entry.run("web").stdout == "\n"
    done = entry.run("web", KAIUN_ENVIRONMENT="c")
    assert (done.returncode, "the image knows: b" in last_line(done)) == (64, True)


def test_quiet_start_says_nothing_and_leaves_no_trace(entry: Entry) -> None:
    entry.make(steps=[["require", [item("RAILS_ENV")]]])
    words = ("sh", "-c", "echo $RAILS_ENV ${KAIUN_START-none}")
    done = entry.run(*words, KAIUN_START="quiet", RAILS_ENV="test")
    assert (done.stdout, done.stderr) == ("test none\n", "")


def test_skip_bypasses_every_step(entry: Entry) -> None:
    entry.make(steps=[["require", [item("A")]]], processes=WEB)
    done = entry.run("web", KAIUN_START="skip")
    assert (done.stdout, done.stderr) == ("web\n", "")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["no-such"], 127, "kaiun: start failed at command: there is no 'no-such'"),
        (["/etc/passwd"], 126, "'/etc/passwd' cannot be executed: Permission denied"),
        ([], 64, "kaiun: start failed: there is no command"),
    ],
)
def test_command_that_cannot_run_is_told(
    entry: Entry, words: list[str], code: int, line: str
) -> None:
    done = entry.make().run(*words)
    assert done.returncode == code
    assert line in last_line(done)


def test_steps_run_in_the_order_written_and_their_times_are_one_json_line(entry: Entry) -> None:
    say = [item("one", command=["echo", "one"]), item("two", command=["echo", "two"])]
    entry.make(steps=[["hooks", say], ["require", [item("PATH")]]], processes=WEB)
    done = entry.run("web", KAIUN_ENVIRONMENT="staging")
    assert done.stdout == "one\ntwo\nweb\n"
    told = json.loads(done.stderr)
    assert (told["environment"], told["process"]) == ("staging", "web")
    assert list(told["steps_ms"]) == ["hooks", "require"]
    assert told["total_ms"] >= told["steps_ms"]["hooks"] > 0


def test_step_for_another_process_is_left_out(entry: Entry) -> None:
    steps = [["require", [item("A", processes=["web"])]]]
    entry.make(steps=steps, processes=WEB)
    assert entry.run("true").returncode == 0
    assert entry.run("web").returncode == 65


def test_every_missing_variable_is_named(entry: Entry) -> None:
    entry.make(steps=[["require", [item("A"), item("B"), item("PATH"), item("C")]]])
    done = entry.run("true", B="")
    assert last_line(done) == "kaiun: start failed at require: A, B, C are not set"


def test_line_fits_the_reason_of_ecs(entry: Entry) -> None:
    entry.make(steps=[["require", [item(f"VARIABLE_Ü{n}") for n in range(50)]]])
    line = last_line(entry.run("true"))
    assert len(line.encode()) <= 255
    assert line.endswith("…")


def test_hook_that_fails_ends_the_start_with_its_own_code(entry: Entry) -> None:
    hooks = [item("warm", command=["sh", "-c", "exit 42"]), item("no", command=["echo", "no"])]
    done = entry.make(steps=[["hooks", hooks]]).run("true")
    assert (done.returncode, done.stdout) == (42, "")
    assert last_line(done) == "kaiun: start failed at hooks warm: sh ended with exit code 42"


def test_hook_killed_by_a_signal_is_told(entry: Entry) -> None:
    done = entry.make(steps=[["hooks", [item("x", command=["sh", "-c", "kill -9 $$"])]]]).run(
        "true"
    )
    assert (done.returncode, "sh was ended by SIGKILL" in last_line(done)) == (137, True)


def test_hook_that_is_late_is_ended_with_all_that_it_started(entry: Entry) -> None:
    command = ["sh", "-c", "sleep 61 & sleep 62"]
    done = entry.make(steps=[["hooks", [item("x", 0.2, command=command)]]]).run("true")
    assert (done.returncode, last_line(done)) == (
        71,
        "kaiun: start failed at hooks x: not within 0.2 s",
    )


def test_hook_that_does_not_exist_is_told(entry: Entry) -> None:
    done = entry.make(steps=[["hooks", [item("x", command=["no-such"])]]]).run("true")
    assert (done.returncode, "cannot run 'no-such'" in last_line(done)) == (71, True)


def test_broken_start_json_is_one_line(entry: Entry) -> None:
    entry.make()
    (entry.program.parent / "start.json").write_text("{")
    done = entry.run("true")
    assert (done.returncode, done.stderr.count("\n")) == (64, 1)
    (entry.program.parent / "start.json").write_text('{"format": 2}')
    assert "has format 2" in last_line(entry.run("true"))


def test_bug_is_one_line_without_values(entry: Entry) -> None:
    entry.make(steps=[["hooks", [{"name": "secret-value", "timeout": 1}]]])
    done = entry.run("true")
    assert done.returncode == 79
    assert re.fullmatch(
        r"kaiun: start failed: a bug of kaiun: KeyError at \w+\.py:\d+", last_line(done)
    )


def test_key_of_a_vault_is_taken_out_of_the_environment(entry: Entry) -> None:
    hooks = [item("look", command=["printenv", "MASTER"])]
    entry.make(keys=["MASTER"], steps=[["hooks", hooks]])
    assert entry.run("true", MASTER="s3cret").returncode == 1
    entry.make(keys=["MASTER"])
    assert "MASTER" not in entry.run("env", MASTER="s3cret").stdout
