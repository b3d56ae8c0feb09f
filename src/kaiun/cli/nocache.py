"""The option --no-cache of the verbs that build: alone for every cache, or with their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])
OPTION = "--no-cache"
HELP = (
    "Build afresh, whatever the registry has; =assets, =bundle, … without that cache only "
    "(a list, repeatable)."
)


class WithCaches(click.Command):
    """A command whose --no-cache takes a value after `=` only, so that REV may follow it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        own = [f"{OPTION}=all" if word == OPTION else word for word in args[:end]]
        return super().parse_args(ctx, own + args[end:])


def no_cache_option(function: F) -> F:
    """Add --no-cache; the function gets a frozenset of names."""
    option = click.option(
        OPTION, multiple=True, metavar="", callback=_parsed, help=HELP, show_default=False
    )
    return option(function)


def _parsed(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> object:
    del ctx, parameter
    from kaiun.image.caches import parse

    return parse(given)
