"""Check what no single key of `assets:` can tell."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from kaiun.config.assets import Assets
from kaiun.config.places import Found, Node
from kaiun.config.schema import Config
from kaiun.config.startchecks import at


def assets(config: Config, tree: Node) -> Iterator[Found]:
    """Yield the problems of `assets:`."""
    where = tree.get("assets")
    given = config.assets
    if where is None or given is None:
        return
    yield from placeholders(where)
    yield from folders(given, where)
    if given.serve == "s3" and given.bucket is None:
        hint = "write `bucket: s3://shop-assets`, or `serve: image`"
        yield at(where, "serve", message="needs a bucket", hint=hint)
    if "ASSET_HOST" in given.env:
        message, hint = "is set by kaiun", "write `host: https://assets.example.com`"
        yield at(where, "env", "ASSET_HOST", message=message, hint=hint)


def placeholders(where: Node) -> Iterator[Found]:
    """Check that nothing depends on who builds: one commit, one result."""
    for leaf in where.leaves():
        if isinstance(leaf.value, str) and "${" in leaf.value:
            message = "nothing is filled in here: the commit alone decides what is compiled"
            yield Found(leaf.at, leaf.path, message, "write the value itself")


def folders(given: Assets, where: Node) -> Iterator[Found]:
    """Check that what is compiled lies below `root`, and that no cache lies in it."""
    root = posixpath.normpath(given.root)
    for index, output in enumerate(given.output):
        if not within(posixpath.normpath(output), root):
            message = f"'{output}' is outside of `root`, '{given.root}'"
            hint = "URLs begin at `root`: name the folder that both lie in"
            yield at(where, *_item(where, "output", index), message=message, hint=hint)
    for index, cache in enumerate(given.cache):
        path = posixpath.normpath(cache)
        for output in map(posixpath.normpath, given.output):
            if within(path, output) or within(output, path):
                message, hint = f"overlaps with `output`, '{output}'", "keep them apart"
                yield at(where, *_item(where, "cache", index), message=message, hint=hint)


def within(path: str, folder: str) -> bool:
    """Return whether a normal path is `folder` or below it."""
    return folder in {".", path} or path.startswith(f"{folder}/")


def _item(where: Node, key: str, index: int) -> tuple[str | int, ...]:
    node = where.get(key)
    return (key, index) if node and isinstance(node.value, list) else (key,)
