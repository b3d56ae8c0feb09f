"""The names of caches, and the option of the command line that switches them off."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kaiun.cli.nocache import WithCaches, no_cache_option
from kaiun.errors import UsageError
from kaiun.image import caches


@click.command(cls=WithCaches)
@click.argument("rev", default="HEAD")
@no_cache_option
def show(rev: str, no_cache: frozenset[str]) -> None:
    click.echo(f"{rev} {','.join(sorted(no_cache))}")


ALL = ",".join(sorted(caches.NAMES))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "HEAD "),
        ("--no-cache", f"HEAD {ALL}"),
        ("--no-cache main", f"main {ALL}"),
        ("main --no-cache", f"main {ALL}"),
        ("--no-cache=assets", "HEAD assets"),
        ("--no-cache=assets,bundle main --no-cache=npm", "main assets,bundle,npm"),
        ("--no-cache=assets --no-cache", f"HEAD {ALL}"),
        ("-- --no-cache", "--no-cache "),
    ],
)
def test_no_cache_alone_means_all_and_never_takes_the_revision(arguments: str, said: str) -> None:
    result = CliRunner().invoke(show, arguments.split())
    assert result.output.rstrip("\n") == said


def test_unknown_cache_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no such cache: gems") as caught:
        caches.parse(["gems,bundle"])
    assert "bundle" in caught.value.hint
