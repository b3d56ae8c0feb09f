"""kaiun releases: who shipped what, when."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from kaiun.cli.common import Setup, verb


@click.command(name="releases")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=20, show_default=True)
@verb
def command(setup: Setup, count: int) -> None:
    """Show the last releases, newest first, from the state bucket."""
    from kaiun.deploy.releases import history
    from kaiun.deploy.state import state_of

    config, aws = setup.load()
    state = state_of(config, aws.s3)
    if state is None:
        setup.console.warn("no history is kept: set `state: s3://…` in kaiun.yml")
    records = history(state, count)
    rows = [
        (r.id, r.kind, r.result, f"{r.seconds:.0f} s", _ago(r.started), r.by, r.subject[:50])
        for r in records
    ]
    if rows:
        setup.console.table(("RELEASE", "KIND", "RESULT", "TOOK", "WHEN", "BY", "SUBJECT"), rows)
    setup.console.document([asdict(record) for record in records])


def _ago(moment: float) -> str:
    minutes = int(time.time() - moment) // 60
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2880 else f"{minutes // 1440} days ago"
