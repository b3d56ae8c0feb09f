"""kaiun deploy: bring an environment to a commit."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, asset_stage, verb, workshop_of
from kaiun.cli.nocache import WithCaches, no_cache_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.cli.console import Console
    from kaiun.deploy.ship import Report
    from kaiun.image import Built


@click.command(name="deploy", cls=WithCaches)
@click.argument("rev", default="HEAD")
@no_cache_option
@click.option(
    "--allow-cpu",
    metavar="REASON",
    default="",
    help="Deploy an image that needs more than the cluster's CPUs have; noted in the history.",
)
@verb
def command(setup: Setup, rev: str, no_cache: frozenset[str], allow_cpu: str) -> None:
    """Build REV (HEAD) if needed, run before-deploy tasks, roll the services, watch them.

    A release that turns out bad is rolled back, with the reason on the screen: exit code 3.
    """
    from kaiun.cli.building import Building
    from kaiun.cli.rolling import Rolling, ask
    from kaiun.deploy.cpugate import CpuGate
    from kaiun.deploy.ship import Ship
    from kaiun.image import ensure_all

    revision = setup.revision(rev)
    config, aws = setup.load(revision.sha)
    console = setup.console
    console.say(f"{config.app} → {config.environment}: {revision.short} {revision.subject}")

    workshop = workshop_of(config, lambda: aws, Building(console), no_cache)
    gate = CpuGate(aws, config, workshop.connected, allow_cpu)

    def images() -> Mapping[str, Built]:
        return ensure_all(config, revision, workshop)

    with Rolling(console) as rolling:
        assets = asset_stage(config, aws, workshop, rolling)
        ship = Ship(aws, config, rolling, partial(ask, console, rolling), assets, gate=gate)
        try:
            report = ship.deploy(revision, images)
        except BaseException:
            rolling.close()
            figures(console, ship.stages, aws.calls)
            raise
    show(console, report)


def show(console: Console, report: Report) -> None:
    """Print how it ended: what, how long each stage took, how many calls, where it answers."""
    if report.changed:
        figures(console, report.stages, report.calls)
        console.done(f"deployed {report.release}" if report.release else "done")
        for url in report.urls:
            console.say(f"  {url}")
    else:
        total = sum(report.stages.values())
        console.done(f"nothing to do ({total:.1f} s)")
    facts = asdict(report) | {"api_calls": sum(report.calls.values())}
    console.document(facts)


def figures(console: Console, stages: Mapping[str, float], calls: Mapping[str, int]) -> None:
    """Print the duration of each stage, and the API calls."""
    for name, seconds in stages.items():
        console.faint(f"  {name:<22} {seconds:6.1f} s")
    if stages:
        console.faint(f"  API calls: {sum(calls.values())}")
