"""Gemfile.lock and Gemfile: which gems, from where, for which Ruby."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaiun.init.tree import Tree

_SPEC = re.compile(r" {4}(?P<name>[\w.-]+) \((?P<version>[^-)]+)(?:-(?P<platform>[^)]+))?\)")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What Bundler installs."""

    gems: Mapping[str, str]  # name → version
    precompiled: frozenset[str]  # gems that the lock also names as built for Linux
    platforms: tuple[str, ...]
    ruby: str  # "3.3.5", or "" where the lock does not say
    bundler: str
    folders: tuple[str, ...]  # of gems that are part of the repository (`path:`)
    git: bool  # some gem comes from a git repository

    def __contains__(self, name: object) -> bool:
        return name in self.gems

    def version(self, name: str) -> tuple[int, ...]:
        """Return the version as numbers, (7, 1, 3); empty where the gem is not there."""
        return tuple(int(number) for number in re.findall(r"\d+", self.gems.get(name, "")))

    def any_of(self, *names: str) -> tuple[str, ...]:
        """Return which of the gems are there."""
        return tuple(name for name in names if name in self.gems)

    @property
    def inside(self) -> tuple[str, ...]:
        """Those of the folders that lie in the app's own."""
        return tuple(each for each in self.folders if not each.startswith((".", "/")))

    @property
    def outside(self) -> tuple[str, ...]:
        """Those of the folders that lie elsewhere, out of the build's reach."""
        return tuple(each for each in self.folders if each.startswith(("..", "/")))

    @property
    def for_linux(self) -> bool:
        """Whether a Linux machine may install from it without changing it."""
        return not self.platforms or any(
            platform == "ruby" or "linux" in platform for platform in self.platforms
        )


def read(text: str) -> Bundle:
    """Return what a Gemfile.lock says."""
    gems: dict[str, str] = {}
    precompiled: set[str] = set()
    sections = dict(_sections(text))
    for found in _SPEC.finditer(text):
        gems.setdefault(found["name"], found["version"])
        if "linux" in (found["platform"] or ""):
            precompiled.add(found["name"])
    ruby = re.search(r"ruby (\d+(?:\.\d+)+)", sections.get("RUBY VERSION", ""))
    return Bundle(
        gems,
        frozenset(precompiled),
        tuple(sections.get("PLATFORMS", "").split()),
        ruby[1] if ruby else "",
        sections.get("BUNDLED WITH", "").strip(),
        tuple(re.findall(r"(?m)^PATH\n  remote: (.+)$", text)),
        bool(re.search(r"(?m)^GIT$", text)),
    )


def gemfile_needs(tree: Tree) -> tuple[str, ...]:
    """Return the files that the Gemfile reads: `ruby file: …`, `eval_gemfile`, vendored gems."""
    code = tree.code("Gemfile")
    named = re.findall(
        r"""(?:\bfile:\s*|\beval_gemfile[\s(]+|File\.read[\s(]+)["']([^"']+)""", code
    )
    return tree.only(dict.fromkeys(("Gemfile", "Gemfile.lock", *named)))


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for block in re.split(r"\n\n+", text.strip()):
        name, _, rest = block.partition("\n")
        yield name, rest
