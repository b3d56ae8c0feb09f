"""kaiun build: the image of a commit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb, workshop_of
from kaiun.cli.nocache import WithCaches, no_cache_option
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.aws.client import Aws
    from kaiun.cli.console import Console
    from kaiun.image import Built


@click.command(name="build", cls=WithCaches)
@click.argument("rev", default="")
@no_cache_option
@click.option("--watch", is_flag=True, help="Follow the build that a push to the host began.")
@click.option("--setup", "prepare", is_flag=True, help="Prepare the build host; REV: ssh://HOST.")
@verb
def command(setup: Setup, rev: str, no_cache: frozenset[str], watch: bool, prepare: bool) -> None:
    """Build and push the images of REV (HEAD); do nothing where the registry has them.

    With image.host in kaiun.yml the build host does it, over SSH.
    """
    from kaiun.cli import buildhost
    from kaiun.cli.building import Building
    from kaiun.image import ensure_all

    def connected() -> Aws:
        from kaiun.aws.session import connect  # slow, and most registries need no AWS

        return aws or connect(config)

    if prepare:
        buildhost.prepare(setup, rev)
        return
    find_docker_meanwhile()
    revision = setup.revision(rev or "HEAD")
    config, aws = setup.configure(revision.sha)
    progress = Building(setup.console)
    workshop = workshop_of(config, connected, progress, no_cache)
    make = buildhost.watched if watch else ensure_all
    show(setup.console, make(config, revision, workshop))


def find_docker_meanwhile() -> None:
    """Look for a docker client while kaiun.yml is read: each program has to be asked.

    What is wrong is told by the build, if it needs one.
    """
    from threading import Thread

    from kaiun.image import client

    def look() -> None:
        with suppress(KaiunError):
            client.find()

    Thread(target=look, name="docker", daemon=True).start()


def show(console: Console, built: Mapping[str, Built]) -> None:
    """Print what became of each image."""
    for name, image in built.items():
        how = f"built in {image.seconds:.1f} s" if image.built else "there already"
        console.data(f"{name}  {image.reference}  {how}")
        if image.note:
            console.warn(f"{name}: {image.note}")
    console.document({name: asdict(image) for name, image in built.items()})
