"""kaiun gc: what builds and releases left behind, and what of it nothing needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, verb, workshop_of
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from kaiun.cli.console import Console
    from kaiun.image.garbage import Item

Source = Callable[[Setup], "list[Item]"]


@click.command(name="gc")
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@verb
def command(setup: Setup, dry_run: bool) -> int:
    """List what takes room, with sizes, and remove what nothing live or recent uses."""
    problems: list[KaiunError] = []
    found = [item for source in SOURCES for item in _looked(source, setup, problems)]
    clear(setup.console, found, dry_run=dry_run)
    for problem in problems:
        setup.console.explain(problem)
    return problems[0].exit_code if problems else 0


def clear(console: Console, found: Sequence[Item], *, dry_run: bool) -> None:
    """Print what was found, and remove what nothing needs."""
    rows = [(each.kind, each.name, size(each.size), each.needed or "goes") for each in found]
    if rows:
        console.table(("what", "name", "size", ""), rows)
    stale = [each for each in found if not each.needed]
    freed = 0 if dry_run else sum(_removed(console, each) for each in stale)
    if not stale:
        console.done("nothing to remove")
    elif dry_run:
        console.done(f"would free {size(sum(each.size for each in stale))}")
    else:
        console.done(f"freed {size(freed)}")
    facts = ("kind", "name", "size", "needed")
    items = [{name: getattr(each, name) for name in facts} for each in found]
    console.document({"items": items, "freed": freed})


def size(count: int) -> str:
    """Return bytes as people read them: 71010000 → "71.0 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _looked(source: Source, setup: Setup, problems: list[KaiunError]) -> list[Item]:
    """Return what a source has; one that cannot be asked keeps the others from nothing."""
    try:
        return source(setup)
    except KaiunError as problem:
        problems.append(problem)
        return []


def _removed(console: Console, item: Item) -> int:
    """Remove an item; return the bytes that this freed. What cannot go is told, and stays."""
    try:
        item.remove()
    except KaiunError as problem:
        console.warn(f"{item.name} stays: {problem.message}")
        return 0
    return item.size


def _of_builds(setup: Setup) -> list[Item]:
    """Return what builds left, on the build host where there is one."""
    from kaiun.image import Stop, Workshop, client
    from kaiun.image.garbage import Host
    from kaiun.local.home import state_home

    config, _ = setup.configure()
    if config.image.host:
        from kaiun.image.host.line import Line
        from kaiun.image.host.site import BuildHost

        line = Line(config.image.host)
        click.get_current_context().call_on_close(line.close)
        return BuildHost(line, Workshop()).garbage(config.app)
    docker = client.find()
    client.require_engine(docker)
    return Host(docker, state_home(), config.app, Stop()).items()


def _of_assets(setup: Setup) -> list[Item]:
    config, known = setup.configure()
    if config.assets is None:
        return []
    from kaiun.aws.session import connect
    from kaiun.deploy import collection

    aws = known or connect(config)
    registry = workshop_of(config, lambda: aws).connected()
    return collection.items(aws, config, registry)


def _of_publishing(setup: Setup) -> list[Item]:
    """Return what deploys from here fetched of compiled assets, where builds are made elsewhere."""
    from kaiun.image.garbage import stored_assets
    from kaiun.local.home import state_home

    config, _ = setup.configure()
    return list(stored_assets(state_home())) if config.image.host else []


SOURCES: tuple[Source, ...] = (_of_builds, _of_publishing, _of_assets)
