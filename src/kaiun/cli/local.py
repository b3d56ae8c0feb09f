"""kaiun local: the local ECS of this machine."""

from __future__ import annotations

import click

from kaiun.cli.common import Setup, verb
from kaiun.errors import UsageError
from kaiun.local import home as places


@click.group()
def command() -> None:
    """The local ECS: an AWS-compatible endpoint on loopback whose tasks are real containers."""


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), help="The API's port [4580]; 0: any.")
@click.option("--registry-port", type=click.IntRange(0, 65535), help="The image registry's [5000].")
@click.option("--fluent-port", type=click.IntRange(0, 65535), help="The log receiver's [24224].")
@click.option(
    "--runtime",
    type=click.Choice(["docker", "null"]),
    default="docker",
    help="null: containers are imagined.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=1.0,
    help="null: how many seconds pass in one.",
)
@click.option(
    "--imagine",
    multiple=True,
    metavar="NAME=VALUE",
    help="null: what containers do that have no such label.",
)
@click.option("--allow-reset", is_flag=True, help="Let test suites empty it, unsigned.")
@verb
def up(
    setup: Setup,
    *,
    port: int | None,
    registry_port: int | None,
    fluent_port: int | None,
    runtime: str,
    time_scale: float,
    imagine: tuple[str, ...],
    allow_reset: bool,
) -> None:
    """Start the local ECS; what it ran before runs again."""
    from kaiun.local.process import Ports, Rehearsal
    from kaiun.local.process import up as start

    ports = Ports(port, registry_port, fluent_port)
    if runtime != "null" and (time_scale != 1 or imagine):
        raise UsageError(
            "--time-scale and --imagine are for imagined containers", hint="add --runtime null"
        )
    rehearsal = Rehearsal(time_scale, imagine, allow_reset)
    started = start(places.engine_home(), ports, runtime=runtime, rehearsal=rehearsal)
    how = "already runs" if started.already else f"is up after {started.seconds:.1f} s"
    setup.console.done(f"the local ECS {how}: {started.env.endpoint}")
    setup.console.faint(f'images go to {started.env.registry} · eval "$(kaiun local env)"')
    setup.console.document(
        {
            "endpoint": started.env.endpoint,
            "registry": started.env.registry,
            "pid": started.pid,
            "already": started.already,
        }
    )


@command.command()
@verb
def down(setup: Setup) -> None:
    """Stop its containers, its side services and itself; `up` starts them again."""
    from kaiun.local.process import down as stop

    stopped = stop(places.engine_home())
    setup.console.done("the local ECS is down" if stopped else "the local ECS did not run")
    setup.console.document({"stopped": stopped})


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def reset(setup: Setup, yes: bool) -> None:
    """Forget every cluster, service and task, and remove their containers."""
    from kaiun.local.process import reset as forget

    if not yes and not setup.console.interactive:
        raise UsageError("this forgets everything that the local ECS runs", hint="add --yes")
    if not yes:
        answer = setup.console.ask("forget everything that the local ECS runs? [y/N]")
        if not answer.lower().startswith("y"):
            raise click.Abort
    forget(places.engine_home())
    setup.console.done("the local ECS is empty")
    setup.console.document({"reset": True})


@command.command()
@verb
def env(setup: Setup) -> None:
    """Print lines for `eval`, so that any AWS client in this shell talks to the local ECS."""
    from kaiun.local.env import export_lines

    found = places.read_env()
    for line in export_lines(found):
        setup.console.data(line)
    setup.console.document(found.variables())


@command.command()
@verb
def status(setup: Setup) -> None:
    """Show whether it runs, and what it runs."""
    from kaiun.cli.localstatus import gather, show

    facts = gather(places.engine_home())
    if setup.console.json:
        setup.console.document(facts)
    else:
        show(setup.console, facts)
