"""kaiun rollback: go back to an earlier release."""

from __future__ import annotations

from functools import partial

import click

from kaiun.cli.common import Setup, asset_stage, verb, workshop_of


@click.command(name="rollback")
@click.argument("release", required=False)
@verb
def command(setup: Setup, release: str | None) -> None:
    """Put the services back to RELEASE (an id or a commit); by default the previous good one.

    Only services change: before-deploy tasks (migrations) are not run and not undone.
    """
    from kaiun.cli.deploy import figures, show
    from kaiun.cli.rolling import Rolling, ask
    from kaiun.deploy.ship import Ship

    config, aws = setup.load()
    with Rolling(setup.console) as rolling:
        assets = asset_stage(config, aws, workshop_of(config, lambda: aws), rolling)
        ship = Ship(aws, config, rolling, partial(ask, setup.console, rolling), assets)
        try:
            report = ship.roll_back(release)
        except BaseException:
            rolling.close()
            figures(setup.console, ship.stages, aws.calls)
            raise
    show(setup.console, report)
