"""kaiun build: the image of a commit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, credentials, verb
from kaiun.cli.nocache import WithCaches, no_cache_option

if TYPE_CHECKING:
    from kaiun.aws.client import Aws


@click.command(name="build", cls=WithCaches)
@click.argument("rev", default="HEAD")
@no_cache_option
@verb
def command(setup: Setup, rev: str, no_cache: frozenset[str]) -> None:
    """Build and push the images of REV (HEAD); do nothing where the registry has them."""
    from kaiun.cli.building import Building
    from kaiun.image import Workshop, ensure_all

    def connected() -> Aws:
        from kaiun.aws.session import connect

        return aws or connect(config)

    revision = setup.revision(rev)
    config, aws = setup.configure(revision.sha)
    progress = Building(setup.console)
    workshop = Workshop(progress, credentials(connected), no_cache=no_cache)
    built = ensure_all(config, revision, workshop)
    for name, image in built.items():
        how = f"built in {image.seconds:.1f} s" if image.built else "there already"
        setup.console.data(f"{name}  {image.reference}  {how}")
        if image.note:
            setup.console.warn(f"{name}: {image.note}")
    setup.console.document({name: asdict(image) for name, image in built.items()})
