"""kaiun scale: how many tasks of a process run."""

from __future__ import annotations

from functools import partial

import click

from kaiun.cli.common import Setup, verb
from kaiun.errors import UsageError


@click.command(name="scale")
@click.argument("counts", nargs=-1, required=True, metavar="PROCESS=COUNT…")
@verb
def command(setup: Setup, counts: tuple[str, ...]) -> None:
    """Set how many tasks of each PROCESS run, and wait until they do.

    The count stays through later deploys, until kaiun.yml changes its own.
    """
    from kaiun.cli.deploy import show
    from kaiun.cli.rolling import Rolling, ask
    from kaiun.deploy.ship import Ship

    pairs = [_count(text) for text in counts]
    wanted = dict(pairs)
    if len(wanted) < len(pairs):
        raise UsageError("a process is named twice", hint="kaiun scale web=2 worker=1")
    config, aws = setup.load()
    if unknown := sorted(set(wanted) - set(config.processes)):
        raise UsageError(
            f"no process {unknown[0]!r} in kaiun.yml", hint=f"one of {', '.join(config.processes)}"
        )
    with Rolling(setup.console) as rolling:
        ship = Ship(aws, config, rolling, partial(ask, setup.console, rolling))
        report = ship.scale(wanted)
    show(setup.console, report)


def _count(text: str) -> tuple[str, int]:
    process, equals, number = text.partition("=")
    if not equals or not process or not number.isdigit():
        raise UsageError(f"expected PROCESS=COUNT, got {text!r}", hint="kaiun scale web=2")
    return process, int(number)
