"""kaiun status: what runs, from AWS."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb

if TYPE_CHECKING:
    from kaiun.deploy.status import Status


@click.command(name="status")
@verb
def command(setup: Setup) -> None:
    """Show per process what runs: revision, tasks, health, the last deployment and its end."""
    from kaiun.deploy.ship import urls_of
    from kaiun.deploy.status import status

    config, aws = setup.load()
    found = status(aws, config)
    header = ("PROCESS", "REVISION", "TASK DEFINITION", "RUNNING", "TARGETS", "ROLLOUT", "SINCE")
    setup.console.table(header, [_row(item) for item in found])
    for item in found:
        for remark in _remarks(item):
            setup.console.data(f"{item.process}: {remark}")
    for url in urls_of(config):
        setup.console.data(f"url: {url}")
    setup.console.document([asdict(item) for item in found])


def _row(item: Status) -> tuple[str, ...]:
    running = f"{item.running}/{item.desired}" + (f" +{item.pending}" if item.pending else "")
    targets = ", ".join(f"{n} {state}" for state, n in (item.targets or {}).items())
    state = item.rollout or item.state
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.since)) if item.since else ""
    return (
        item.process, item.revision[:8], item.task_definition, running, targets, state, since
    )  # fmt: skip


def _remarks(item: Status) -> list[str]:
    remarks = []
    if item.rolled_back:
        remarks.append(f"the last deploy was rolled back: {item.reason or item.last_event}")
    elif item.rollout == "FAILED":
        remarks.append(f"the last deployment failed: {item.reason}")
    if item.newest:
        remarks.append(f"does not run the newest task definition, {item.newest}")
    if item.state not in {"ACTIVE"}:
        remarks.append(f"service {item.service} is {item.state}")
    return remarks
