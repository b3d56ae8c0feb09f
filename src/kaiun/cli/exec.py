"""kaiun exec: a shell, or a command, in a container that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb
from kaiun.errors import SessionError, UsageError

if TYPE_CHECKING:
    from kaiun.config import Config
    from kaiun.session.remote import Remote
    from kaiun.session.ticket import Ticket


@click.command(name="exec")
@click.option("-p", "--process", metavar="NAME", help="In a task of which process.")
@click.option("--task", metavar="ID", default="", help="In which task; a part of its id will do.")
@click.option("--container", metavar="NAME", default="", help="In a sidecar of the task.")
@click.option("--bare", is_flag=True, help="The container's own environment, without kaiun's.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PROCESS] [-- COMMAND…]")
@verb
def command(
    setup: Setup,
    *,
    process: str | None,
    task: str,
    container: str,
    bare: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run a COMMAND in a running container of PROCESS (the first one), by default a shell.

    In an image that kaiun built it sees the environment and secrets of a process; `shell` and
    `console` are words of kaiun. At a terminal the session is interactive; else standard input is
    passed on to its end, and the output comes unchanged. The exit code is the command's own.
    """
    from kaiun.deploy.reach import choose
    from kaiun.session import terminal
    from kaiun.session.remote import Remote

    if setup.console.json:
        raise UsageError("a session has no JSON", hint="kaiun exec without --json")
    config, aws = setup.load()
    name, words = _choose(config, process, arguments)
    spot = choose(aws, config, name, task, container)
    remote = Remote(words, piped=not terminal.is_terminal(), bare=bare)
    setup.console.faint(f"{name} {spot.task[:8]} in {config.environment}")
    ticket = aws.ecs.execute_command(config.cluster, spot.task_arn, spot.container, remote.command)
    said = _hold(ticket, remote)
    raise click.exceptions.Exit(_code(remote, said, spot.task_arn))


def _choose(
    config: Config, process: str | None, arguments: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """Return the process and the words of the command, none for a shell."""
    known = list(config.processes)
    if process is None and arguments and arguments[0] in known:
        process, arguments = arguments[0], arguments[1:]
    own = [n for n, p in config.processes.items() if p.uses_app_image]
    name = process or next(iter(own or known), "")
    if name not in known:
        raise UsageError(f"no process {name!r} in kaiun.yml", hint=f"one of {', '.join(known)}")
    return name, arguments


def _hold(ticket: Ticket, remote: Remote) -> str:
    from kaiun.session import terminal
    from kaiun.session.line import hold

    if not terminal.is_terminal():
        return hold(ticket, terminal.Pipe(remote))
    face = terminal.Terminal(remote.read)
    with face.raw():
        return hold(ticket, face)


def _code(remote: Remote, said: str, where: str) -> int:
    """Return the command's exit code. Raises SessionError where it told none."""
    if not remote.ready and remote.exit_code is not None:
        raise SessionError(
            "input cannot be piped into this container: it has no `stty` or no `base64`",
            where=where,
            hint="run it at a terminal",
        )
    if remote.exit_code is None:
        raise SessionError(
            said or "the session ended before the command did: the task may have been stopped",
            where=where,
            hint="kaiun status",
            detail=remote.heard.decode("utf-8", "replace").split("\r\n")[-5:],
        )
    return remote.exit_code
