"""Which Ruby and which Node an app asks for, and what it is when it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import UsageError

if TYPE_CHECKING:
    from kaiun.init.lockfile import Bundle
    from kaiun.init.tree import Tree

# The newest Ruby that a Rails was made with. Source: Rails' guide "Upgrading Ruby on Rails", and
# for those before 7 the Rubies that its own tests ran on.
_RUBY_OF_RAILS: dict[tuple[int, ...], str] = {
    (5, 2): "2.6", (6, 0): "2.7", (6, 1): "3.0", (7, 0): "3.2", (7, 1): "3.3", (7, 2): "3.3",
    (8, 0): "3.4",
}  # fmt: skip
_NEWEST_RUBY = "3.4"
NODE = "22"  # where the app names none
_OLDEST_BUNDLER_THAT_FOLLOWS_THE_LOCK = (3, 1)  # the Ruby that came with Bundler 2.3


@dataclass(frozen=True, slots=True)
class Version:
    """A version, and where it stands; `place` is "" where it is a guess."""

    number: str
    place: str


def ruby(tree: Tree, bundle: Bundle) -> Version:
    """Return the Ruby: the most exact that a file names, else the one of the Rails' time.

    Raises UsageError for a Ruby that is not MRI.
    """
    named = [
        (bundle.ruby, "Gemfile.lock"),
        (_found(r"""(?m)^\s*ruby[\s(]+["']([^"']+)""", tree.code("Gemfile")), "Gemfile"),
        (tree.text(".ruby-version").strip(), ".ruby-version"),
        (_found(r"(?m)^ruby\s+(\S+)", tree.text(".tool-versions")), ".tool-versions"),
        (_found(r"""(?m)^ruby\s*=\s*["']([^"']+)""", tree.text("mise.toml")), "mise.toml"),
    ]
    for given, place in named:
        if re.match(r"(j|truffle|rbx|mruby)", given):
            raise UsageError(
                f"the app runs on {given}, `kaiun init` knows only MRI",
                where=place,
                hint="write a Dockerfile of your own; `kaiun init` then writes kaiun.yml alone",
            )
    exact = [
        Version(number[0].removeprefix("ruby-"), place)
        for given, place in named
        if (number := re.fullmatch(r"(?:ruby-)?\d+(?:\.\d+){1,2}(?:-?(?:rc|preview)\d+)?", given))
    ]
    if exact:
        return max(exact, key=lambda version: version.number.count("."))
    for given, place in named:
        if about := re.match(r"~>\s*(\d+\.\d+)", given):
            return Version(about[1], place)
    return Version(_RUBY_OF_RAILS.get(bundle.version("rails")[:2], _NEWEST_RUBY), "")


def node(tree: Tree) -> Version:
    """Return the Node, as exact as the app names it."""
    engines = tree.json_object("package.json").get("engines")
    wanted = str(engines.get("node", "")) if isinstance(engines, dict) else ""
    named = [
        (tree.text(".node-version").strip(), ".node-version"),
        (tree.text(".nvmrc").strip(), ".nvmrc"),
        (_found(r"(?m)^nodejs\s+(\S+)", tree.text(".tool-versions")), ".tool-versions"),
        (_found(r"""(?m)^node\s*=\s*["']([^"']+)""", tree.text("mise.toml")), "mise.toml"),
    ]
    for given, place in named:
        if re.fullmatch(r"v?\d+(\.\d+){0,2}", given):
            return Version(given.removeprefix("v"), place)
    # Of a range such as ">=18 <21" the first number is the one that surely works.
    major = _found(r"(\d+)", wanted)
    return Version(major, "package.json") if major else Version(NODE, "")


def bundler_to_install(ruby_number: str, bundle: Bundle) -> str:
    """Return the Bundler to install first, "" where Ruby's own brings the lock's by itself."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", ruby_number)[:2])
    return "" if numbers >= _OLDEST_BUNDLER_THAT_FOLLOWS_THE_LOCK else bundle.bundler


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
