from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kaiun.cli import main
from kaiun.cli.console import Console
from kaiun.cli.main import VERBS, cli, run
from kaiun.errors import CommandExit, ConfigError, ConfigErrors, DeployFailed, KaiunError

HEAVY = ("pydantic", "boto3", "botocore", "rich", "yaml", "kaiun.config.schema")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIUN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def ended(problem: BaseException, *arguments: str) -> int:
    @click.command()
    @click.argument("rest", nargs=-1)
    def command(rest: tuple[str, ...]) -> None:
        del rest
        raise problem

    return run(["check", *arguments], command)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom kaiun.cli.main import run\nassert run(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_its_options(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    if verb not in {"local", "secrets", "start"}:
        assert "--json" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deplyo"], "did you mean `deploy`?"),
        (["deploy", "--nope"], "No such option"),
        (["scale"], "Missing argument"),
        (["scale", "web"], "expected PROCESS=COUNT"),
        (["local", "up", "--port", "99999"], "--port"),
        (["deploy", "-c", "/nonexistent/kaiun.yml"], "kaiun.yml"),
        (["status"], "kaiun.yml"),
        (["run"], "kaiun.yml"),
    ],
)
def test_bad_usage_ends_with_2_and_says_why(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    shown = capsys.readouterr()
    assert "deploy" in shown.out + shown.err


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (ConfigError("wrong"), 2),
        (DeployFailed("bad"), 3),
        (CommandExit("ended", exit_code=42), 42),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_exit_codes_are_those_of_the_errors(problem: BaseException, code: int) -> None:
    assert ended(problem) == code


def test_an_error_is_one_block(capsys: pytest.CaptureFixture[str]) -> None:
    problem = KaiunError("no bread", where="kitchen", hint="buy some", detail=["the bin is empty"])
    ended(problem)
    assert capsys.readouterr().err.splitlines() == [
        "error: no bread",
        "  where: kitchen",
        "  the bin is empty",
        "  hint: buy some",
    ]


def test_all_problems_of_a_configuration_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    problems = ConfigErrors([ConfigError("a", where="kaiun.yml:1:1"), ConfigError("b", hint="c")])
    assert ended(problems) == 2
    shown = capsys.readouterr().err
    assert shown.splitlines() == [
        "error: a",
        "  where: kaiun.yml:1:1",
        "error: b",
        "  hint: c",
        "2 problems in the configuration",
    ]


def test_a_bug_goes_to_a_file_and_not_to_the_screen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ended(RuntimeError("oops"), "--", "hunter2") == 1
    shown = capsys.readouterr().err
    assert shown.startswith("a bug of kaiun: RuntimeError: oops")
    assert len(shown.splitlines()) == 1
    (kept,) = (tmp_path / "home" / "bugs").iterdir()
    assert "Traceback" in kept.read_text()
    assert "hunter2" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_bug_without_a_writable_home_is_told_still(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIUN_HOME", "/proc/nowhere")
    assert ended(RuntimeError("oops")) == 1
    assert "oops" in capsys.readouterr().err


def test_with_json_an_error_is_json_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["status", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["exit_code"] == 2
    assert document["error"]["message"]


def test_local_status_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["local", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_local_env_without_an_engine_prints_nothing_for_the_eval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["local", "env"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "kaiun local up" in shown.err


def test_json_of_the_command_after_the_dashes_is_not_ours() -> None:
    assert main._own(["run", "--", "x", "--json"]) == ["run"]


def test_no_colours_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().error(KaiunError("x"))
    assert "\033" not in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly() -> None:
    script = f"{sys.executable} -m kaiun.cli.main --help; echo $? >&2"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        ["sh", "-c", script], stdout=write, stderr=subprocess.PIPE, text=True, check=True
    )
    os.close(write)
    assert done.stderr == "141\n"


def test_a_mistake_of_the_command_line_is_json_where_json_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["status", "--json", "--bogus"]) == 2
    out = capsys.readouterr().out
    assert json.loads(out)["error"]["exit_code"] == 2


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_bug(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m kaiun.cli.main scale web {closed}>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"bug" not in done.stderr


def test_nobody_to_hear_the_talk_stops_nothing() -> None:
    command = f"{shlex.quote(sys.executable)} -m kaiun.cli.main scale web 2>/dev/full"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 2


def test_output_that_cannot_be_written_is_said() -> None:
    command = f"{shlex.quote(sys.executable)} -m kaiun.cli.main scale web --json >/dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 2


def test_the_end_waits_for_threads_and_calls_what_they_registered(tmp_path: Path) -> None:
    script = f"""
import atexit, threading
from pathlib import Path
from kaiun.cli.main import main

def late():
    threading.main_thread().join()
    atexit.register(Path({str(tmp_path / "called")!r}).touch)

threading.Thread(target=late).start()
main(["scale", "web"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"expected PROCESS=COUNT" in done.stderr
    assert (tmp_path / "called").exists()
