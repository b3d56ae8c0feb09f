"""kaiun releases: who shipped what, when."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb

if TYPE_CHECKING:
    from kaiun.deploy.releases import Record

HEADERS = ("RELEASE", "KIND", "RESULT", "TOOK", "WHEN", "BY", "SUBJECT")


@click.command(name="releases")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=20, show_default=True)
@verb
def command(setup: Setup, count: int) -> None:
    """Show the last releases, newest first.

    From the history in the state bucket, and from ECS itself where that does not reach far enough.
    """
    from kaiun.deploy import lineage
    from kaiun.deploy.releases import FROM_ECS, history
    from kaiun.deploy.state import state_of
    from kaiun.plan import names

    config, aws = setup.load()
    records = history(state_of(config, aws.s3), count)
    if len(records) < count:
        services = names.wanted(config).services
        records = lineage.merge(records, lineage.read(aws, config.cluster, services))[:count]
    if records:
        setup.console.table(HEADERS, [_row(record) for record in records])
    if any(record.source == FROM_ECS for record in records):
        where = f"is not in {config.state}" if config.state else "(no `state:` in kaiun.yml)"
        setup.console.faint(f"* history {where}: told by ECS, whose memory is 90 days")
    setup.console.document([asdict(record) for record in records])


def _row(record: Record) -> tuple[str, ...]:
    from kaiun.deploy.releases import FROM_ECS

    mark = "*" if record.source == FROM_ECS else ""
    return (
        record.id + mark,
        record.kind,
        record.result,
        f"{record.seconds:.0f} s",
        _ago(record.started),
        record.by,
        record.subject[:50],
    )


def _ago(moment: float) -> str:
    minutes = int(time.time() - moment) // 60
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2880 else f"{minutes // 1440} days ago"
