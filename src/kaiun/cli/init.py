"""kaiun init: kaiun.yml for the app of this folder, and a Dockerfile where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaiun.cli.console import Console

if TYPE_CHECKING:
    from kaiun.init.draft import Draft
    from kaiun.init.writing import Outcome


@click.command(name="init")
@click.option("--app", help="The name of the app; by default that of the folder.")
@click.option("--print", "only_print", is_flag=True, help="Print the files, write none.")
@click.option(
    "--force", "replace", multiple=True, metavar="FILE",
    type=click.Choice(["kaiun.yml", "Dockerfile", ".dockerignore"]),
    help="Write this one even where it is there: kaiun.yml, Dockerfile or .dockerignore.",
)  # fmt: skip
@click.option("--json", is_flag=True, help="Print JSON on stdout.")
def command(app: str | None, only_print: bool, replace: tuple[str, ...], json: bool) -> None:
    """Write kaiun.yml for the app of this folder, and a Dockerfile where there is none.

    A file that is there is left as it is.
    """
    from kaiun.init import writing
    from kaiun.init.draft import DOCKERFILE, draft, name_for
    from kaiun.init.tree import Tree

    console = click.get_current_context().find_object(Console) or Console()
    console.json = json
    root = Path.cwd()
    named = name_for(app or root.name)
    drafted = draft(Tree(root), named, anew=DOCKERFILE in replace)
    if only_print:
        outcome = writing.sort(root, drafted.files, replace)
        _print(console, drafted, outcome)
    else:
        outcome = writing.write(root, drafted.files, replace)
    _tell(console, drafted, outcome, wrote=not only_print)
    console.document(
        {
            "app": named,
            "written": [] if only_print else outcome.written,
            "left": outcome.left,
            "found": drafted.found,
            "notes": drafted.notes,
        }
        | ({"files": drafted.files} if only_print else {})
    )


def _print(console: Console, drafted: Draft, outcome: Outcome) -> None:
    for name in outcome.written:
        console.say(f"── {name}")
        console.data(drafted.files[name])


def _tell(console: Console, drafted: Draft, outcome: Outcome, *, wrote: bool) -> None:
    """Say what was done, what was left, what a human should know, and what comes next."""
    for name in outcome.written if wrote else ():
        console.done(f"wrote {name}")
    for name in outcome.left:
        console.warn(f"{name} is there and was left as it is; --force {name} replaces it")
    for note in drafted.notes:
        console.warn(f"note: {note}")
    if wrote and outcome.written:
        console.say(f"next: git add {' '.join(outcome.written)} && git commit, then `kaiun check`")
