"""The `kaiun` command: a verb's module is imported only when the verb runs.

`kaiun --help` has to be quick (120 ms), so this module knows each verb's summary itself.
"""

from __future__ import annotations

import atexit
import errno
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaiun import __version__
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaiun.cli.console import Console

VERBS = {
    "init": "Write kaiun.yml for the app here, and a Dockerfile where there is none.",
    "check": "Find everything that would fail later.",
    "plan": "Show what deploy would change; change nothing.",
    "build": "Build the image of a commit unless the registry has it.",
    "deploy": "Bring an environment to a commit: build, migrate, roll the services.",
    "status": "Show what runs, from AWS.",
    "releases": "Show who shipped what, when.",
    "rollback": "Go back to an earlier release.",
    "run": "Run a one-off task, stream its log, return its exit code.",
    "exec": "Open a shell, or run a command, in a container that runs.",
    "logs": "Show the log of the processes.",
    "scale": "Set how many tasks of a process run.",
    "scan": "Find machine code above a CPU baseline, by file and package.",
    "gc": "Remove what nothing live or recent uses: caches, helper images.",
    "secrets": "Vault files: encrypt, decrypt, edit, rotate, check, keygen, diff.",
    "start": "Explain what happens in a container before its process.",
    "local": "The local ECS of this machine: up, down, status, env, reset.",
}
UNWRITABLE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


class Verbs(click.Group):
    """A group whose commands are imported one at a time, when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"kaiun.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in VERBS:
            ctx.fail(_unknown(name))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Take a web app from a git commit to healthy containers on Amazon ECS.",
)
@click.version_option(__version__, prog_name="kaiun", message="%(prog)s %(version)s")
def cli() -> None:
    """Hold the verbs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    _open_closed_streams()
    ended: list[int] = []
    atexit.register(_leave, ended)  # the first to be registered is the last to be called
    ended.append(run(list(sys.argv[1:] if arguments is None else arguments)))
    sys.exit(ended[0])


def _leave(ended: Sequence[int]) -> None:
    """End the process, whose threads have ended, without taking apart every object: 30 to 60 ms."""
    if not ended:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # told by now, where anybody can be told
            stream.flush()
    os._exit(ended[0])


def _open_closed_streams() -> None:
    """Give a process that was started with closed streams (`>&-`) streams that lead nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def run(arguments: list[str], group: click.Command = cli) -> int:
    """Run the command line; return the exit code. No exception escapes."""
    from kaiun.cli.console import Console

    console = Console(json="--json" in _own(arguments))
    try:
        code = group.main(args=arguments, prog_name="kaiun", standalone_mode=False, obj=console)
        console.flush()
    except BaseException as problem:  # noqa: BLE001  (each kind has its exit code)
        return _told(console, problem, arguments)
    return code if isinstance(code, int) else 0


def _told(console: Console, problem: BaseException, arguments: Sequence[str]) -> int:
    try:
        return _ended(console, problem, arguments)
    except OSError as unwritable:  # the JSON of the error, on a full disk or a closed pipe
        return _ended(console, unwritable, arguments)


def _ended(console: Console, problem: BaseException, arguments: Sequence[str]) -> int:
    """Tell how the command ended; return the exit code."""
    match problem:
        case KaiunError():
            console.error(problem)
            code = problem.exit_code
        case click.exceptions.Exit():
            code = problem.exit_code
        case click.ClickException():
            console.usage(problem)
            code = problem.exit_code
        case KeyboardInterrupt() | click.Abort():
            console.say("interrupted")
            code = INTERRUPTED
        case OSError(errno=errno.ENOSPC):
            console.abandon_stdout()
            console.say(f"error: the output cannot be written: {problem.strerror}")
            code = UNWRITABLE
        case BrokenPipeError() | SystemExit():  # click answers a closed pipe with SystemExit(1)
            console.abandon_stdout()
            code = PIPE_CLOSED
        case _:
            code = _bug(console, problem, arguments)
    return code


def _bug(console: Console, bug: BaseException, arguments: Sequence[str]) -> int:
    from kaiun.cli.bug import keep

    console.bug(bug, keep(bug, arguments))
    return 1


def _own(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments that are kaiun's, not those of a command after `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, VERBS, n=1, cutoff=0.7)
    return f"no verb {name!r}" + (f"; did you mean `{close[0]}`?" if close else "")


if __name__ == "__main__":
    main()
