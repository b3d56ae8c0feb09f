"""kaiun check: find what would fail later, all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from kaiun.cli.common import Setup, credentials, verb
from kaiun.errors import KaiunError, UsageError

if TYPE_CHECKING:
    from kaiun.image import Built


@click.command(name="check")
@click.argument("rev", default="HEAD")
@verb
def command(setup: Setup, rev: str) -> None:
    """Check configuration, commit, registry, Docker, cluster, target groups and the plan.

    Its first form: what AWS is asked for is what `plan` needs. Changes nothing.
    """
    from kaiun.deploy.ship import Ship
    from kaiun.image import Workshop, find_all

    results: list[tuple[str, str, KaiunError | None]] = []

    def check(what: str, call: Callable[[], str]) -> bool:
        try:
            results.append((what, call(), None))
        except KaiunError as problem:
            results.append((what, problem.message, problem))
        return results[-1][2] is None

    revision = setup.revision(rev)
    results.append(("commit", f"{revision.short} {revision.subject}", None))
    config, aws = setup.load(revision.sha)
    results.append(("configuration", f"{config.app} in {config.environment}", None))
    images: dict[str, Built | None] = {}

    def registry() -> str:
        images.update(find_all(config, revision, Workshop(injected=credentials(aws))))
        missing = [name for name, built in images.items() if built is None]
        return f"to be built: {', '.join(missing)}" if missing else "has every image"

    def planned() -> str:
        todo, _release, _live = Ship(aws, config, lambda _: None).compare(revision, images)
        return f"{len(todo.steps)} steps to do" if not todo.empty else "nothing to do"

    if check("registry", registry):
        check("plan", planned)
    for what, text, problem in results:
        setup.console.data(f"{'ok  ' if problem is None else 'FAIL'}  {what}: {text}")
    setup.console.document(
        [{"check": what, "ok": p is None, "text": text} for what, text, p in results]
    )
    bad = [problem for _what, _text, problem in results if problem]
    for problem in bad:
        setup.console.error(problem)
    if bad:
        raise UsageError(f"{len(bad)} of {len(results)} checks failed")
