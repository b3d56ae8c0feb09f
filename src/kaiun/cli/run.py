"""kaiun run: a one-off task."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb
from kaiun.errors import CommandExit, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.deploy.events import Event
    from kaiun.deploy.oneoff import Outcome

CANNOT_RUN = 125  # as docker run has it: the command never ran


@click.command(name="run", context_settings={"ignore_unknown_options": False})
@click.option("-p", "--process", metavar="NAME", help="Whose image, environment and secrets.")
@click.option("--timeout", type=click.IntRange(1), help="Stop it after that many seconds.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[TASK] | -- COMMAND…")
@verb
def command(
    setup: Setup, process: str | None, timeout: int | None, arguments: tuple[str, ...]
) -> None:
    """Run a task of kaiun.yml, or a command in the environment of a process as it is deployed.

    Its log is streamed to stdout; the exit code is the command's own, 125 when it never ran.
    Ctrl-C stops the task.
    """
    config, aws = setup.load()
    name, words = _choose(config, process, arguments)
    outcome = _run(setup, (config, aws), name, words, timeout)
    setup.console.item(asdict(outcome))
    if outcome.ok:
        return
    code = outcome.exit_code
    how = "it never ran" if code is None else f"exit code {code}"
    if outcome.timed_out:
        how = f"stopped after {timeout} s"
    reason = f" ({outcome.reason})" if outcome.reason and code is None else ""
    raise CommandExit(
        f"task {outcome.task[:8]}: {how}{reason}", exit_code=CANNOT_RUN if code is None else code
    )


def _choose(
    config: Config, process: str | None, arguments: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    if process is None and len(arguments) == 1 and arguments[0] in config.tasks:
        return arguments[0], ()
    known = [*config.processes, *config.tasks]
    app = [n for n, p in config.processes.items() if p.uses_app_image]
    name = process or next(iter(app or known), "")
    if name not in known:
        raise UsageError(f"no process {name!r} in kaiun.yml", hint=f"one of {', '.join(known)}")
    if not arguments:
        tasks = ", ".join(config.tasks) or "none"
        raise UsageError(
            "nothing to run", hint=f"kaiun run -- COMMAND, or a task of kaiun.yml: {tasks}"
        )
    return name, arguments


def _run(
    setup: Setup,
    loaded: tuple[Config, Aws],
    name: str,
    words: tuple[str, ...],
    timeout: int | None,
) -> Outcome:
    from kaiun.deploy.oneoff import OneOff
    from kaiun.plan.service import run_task

    config, aws = loaded
    definition = _definition(config, aws, name)
    arn = str(definition["taskDefinitionArn"])
    request = run_task(config, name, arn, started_by="kaiun/run", command=words)
    oneoff = OneOff(aws, config.cluster, _listener(setup), settle_s=0.5 if aws.is_local else 5.0)
    try:
        return oneoff.run(name, request, definition, timeout)
    except KeyboardInterrupt:
        raise Interrupted("interrupted: the task was stopped") from None


def _definition(config: Config, aws: Aws, name: str) -> Mapping[str, object]:
    """Return the task definition that the service runs; for a task the newest of its family."""
    from kaiun.plan import names

    reference = names.family(config, name)
    if name in config.processes:
        service = names.service(config, name)
        live = aws.ecs.describe_services(config.cluster, [service]).get(service)
        reference = (live or {}).get("taskDefinition", reference)
    found = aws.ecs.describe_task_definition(reference)
    if found is None:
        raise UsageError(f"{name} was never deployed to {config.environment}", hint="kaiun deploy")
    return found


def _listener(setup: Setup) -> Callable[[Event], None]:
    from kaiun.deploy.events import TaskLogged, TaskMoved

    def listen(event: Event) -> None:
        if isinstance(event, TaskLogged):
            for line in event.lines:
                setup.console.data(line.message.rstrip("\n"))
                setup.console.item({"timestamp_ms": line.timestamp_ms, "message": line.message})
        elif isinstance(event, TaskMoved):
            setup.console.faint(f"task {event.task[:8]} {event.status}")

    return listen
