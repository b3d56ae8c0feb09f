"""kaiun logs: what the processes wrote."""

from __future__ import annotations

import time

import click

from kaiun.cli.common import Setup, verb
from kaiun.errors import UsageError


@click.command(name="logs")
@click.argument("names", nargs=-1, metavar="[PROCESS…]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", metavar="AGE", default="10m", show_default=True, help="90s, 10m, 2h, 1d.")
@click.option("-g", "--grep", "pattern", default="", help="A CloudWatch Logs filter pattern.")
@verb
def command(setup: Setup, names: tuple[str, ...], follow: bool, since: str, pattern: str) -> None:
    """Show the log of PROCESSes and tasks (all of them by default), oldest line first."""
    from kaiun.deploy.logs import lines, tail

    config, aws = setup.load()
    known = [*config.processes, *config.tasks]
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"no process {unknown[0]!r} in kaiun.yml", hint=f"{', '.join(known)}")
    start_ms = int((time.time() - _seconds(since)) * 1000)
    wanted = list(names or known)
    source = tail if follow else lines
    silent = True
    for line in source(aws, config, wanted, start_ms, pattern):
        stamp = time.strftime("%H:%M:%S", time.localtime(line.timestamp_ms / 1000))
        setup.console.data(f"{stamp} {line.process}/{line.task[:8]} {line.message}")
        setup.console.item(line.facts())
        silent = False
    if silent:
        setup.console.faint(f"nothing was written in the last {since}; --since looks back further")


def _seconds(age: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not age or age[-1] not in units or not age[:-1].isdigit():
        raise UsageError(f"expected an age such as 10m, got {age!r}", hint="--since 2h")
    return float(int(age[:-1]) * units[age[-1]])
