"""Who asked for `native`: the lines that the shim prints on the output of a step."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARK = "kaiun-shim|"
_LINE = re.compile(r"kaiun-shim\|([^|]*)\|([^|]*)\|(.*)\|([^|]*)")
_PLACES = (
    re.compile(r"/bundler/gems/(?:extensions/[^/]+/[^/]+/)?([^/]+)"),  # a gem from git
    re.compile(r"/(?:gems|extensions/[^/]+/[^/]+)/([^/]+-\d[^/]*)"),
    re.compile(r"/registry/src/[^/]+/([^/]+)"),  # a crate
    re.compile(r"/node_modules/((?:@[^/]+/)?[^/]+)(?!.*/node_modules/)"),
    re.compile(r"/pip-(?:install|req-build|wheel)-[^/]+/([^/]+?)(?:_[0-9a-f]{32})?(?:/|$)"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a compiler with `native`."""

    compiler: str
    flag: str
    folder: str
    package: str  # the gem, wheel, crate or npm package; "" where the folder does not tell

    def __str__(self) -> str:
        return f"{self.package or self.folder} asked for {self.flag} ({self.compiler})"


def parse(line: str) -> Asked | None:
    """Return what a line of a step's output tells, None for any other line."""
    found = _LINE.fullmatch(line.strip())
    if not found:
        return None
    compiler, flag, folder, named = found.groups()
    return Asked(compiler, flag, folder, named or package(folder))


def package(folder: str) -> str:
    """Return whose sources lie in a folder: ".../gems/bcrypt-3.1.20/ext/mri" → "bcrypt-3.1.20"."""
    places = (place.search(folder) for place in _PLACES)
    return next((found[1] for found in places if found), "")
