"""kaiun plan: what deploy would change."""

from __future__ import annotations

import click

from kaiun.cli.common import Setup, asset_stage, verb, workshop_of


@click.command(name="plan")
@click.argument("rev", default="HEAD")
@verb
def command(setup: Setup, rev: str) -> None:
    """Show what `deploy REV` would change, as a readable diff. Changes nothing."""
    from kaiun.deploy.events import silent
    from kaiun.deploy.ship import Ship
    from kaiun.image import find_all
    from kaiun.plan.render import lines, to_json

    revision = setup.revision(rev)
    config, aws = setup.load(revision.sha)
    workshop = workshop_of(config, lambda: aws)
    images = find_all(config, revision, workshop)
    ship = Ship(aws, config, silent, assets=asset_stage(config, aws, workshop, silent))
    todo, release, _live = ship.compare(revision, images)
    for name in sorted({b for b, built in images.items() if built is None}):
        setup.console.faint(f"the image of {name} is not built yet")
    for line in lines(todo):
        setup.console.data(line)
    setup.console.document({**to_json(todo), "revision": release.revision})
