"""Render templates: `.erb` in one Ruby process, `.j2` by Jinja2, `.tmpl` by hand.

All are staged first, the checks run on what is staged, and only then everything is put in place.
"""

from __future__ import annotations

import os

from kaiun.entry import child, files
from kaiun.entry.failure import Failure
from kaiun.entry.steps import limited, stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaiun.entry.files import Staged
    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context


class Page:
    """One template on its way to its file."""

    def __init__(self, item: Item, context: Context) -> None:
        self.item = item
        self.name = str(item["name"])
        self.source = files.original(context.path(item["file"]))
        self.target = context.path(item["to"])
        self.staged: Staged = stage(self.target)
        self.secret = False


def step(items: list[Item], context: Context) -> None:
    """Render all templates of the start."""
    pages: list[Page] = []

    def prepare(item: Item) -> None:
        page = Page(item, context)
        pages.append(page)
        if not page.name.endswith(".erb"):
            _render(page, context)

    for item in items:
        limited(item, prepare)
    ruby = [page for page in pages if page.name.endswith(".erb")]
    if ruby:
        _erb(ruby, context)
    for page in pages:
        limited(page.item, lambda item, page=page: _finish(page, item, context))  # type: ignore[misc]
    for page in pages:
        page.staged.commit()


def _render(page: Page, context: Context) -> None:
    text = decoded(page.source)
    context.variables.used_secret()
    if page.name.endswith(".j2"):
        from kaiun.entry import jinja

        done = jinja.render(text, context)
    else:
        done = context.variables.expand(text)
    page.secret = context.variables.used_secret()
    page.staged.write(done.encode("utf-8", "surrogateescape"))


def _erb(pages: Sequence[Page], context: Context) -> None:
    """Render in one Ruby process, which may take as long as the most patient of its templates."""
    from kaiun.entry import erb

    item = {"name": "ruby", "timeout": max(page.item["timeout"] for page in pages)}
    limited(item, lambda _: erb.render(pages, context))


def _finish(page: Page, item: Item, context: Context) -> None:
    mode = int(item["mode"], 8) if item.get("mode") else None
    page.staged.dress(
        mode=mode, owner=item.get("owner") or "", like=page.source, secret=page.secret
    )
    if item.get("check"):
        check(item["check"], page.staged.path, context)


def check(command: Sequence[str], path: str, context: Context) -> None:
    """Run the `check:` command on a staged file: `{}` is its path, or it comes last."""
    argv = [word.replace("{}", path) for word in command]
    if argv == list(command):
        argv.append(path)
    try:
        ended = child.run(argv, context.environ(), listen=2)
    except OSError as problem:
        raise Failure(f"the check {argv[0]!r} cannot be run: {problem.strerror}") from None
    if ended.code:
        said = f": {ended.last_line()}" if ended.last_line() else ""
        raise Failure(f"the check {os.path.basename(argv[0])} {ended.words()}{said}")


def decoded(path: str) -> str:
    """Return a template as text; bytes that are no UTF-8 come out as they went in."""
    return files.read(path).decode("utf-8", "surrogateescape")
