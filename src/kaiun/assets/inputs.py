"""What a compile depends on, as one digest: sources, recipe, tools. Pure.

Sources   mode, content and path of each file of the commit that `inputs` matches
Recipe    command, output, root, env and host of kaiun.yml
Tools     what the image is made of beside the app's own code: its package database, Ruby, Node and
          Python with the names and versions of their libraries (image/probe.py asks for them),
          and the variables and WORKDIR of the image
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kaiun.errors import AssetsError

if TYPE_CHECKING:
    from kaiun.assets.groups import Group
    from kaiun.image.supply import Entry

METHOD = 1  # of what kaiun itself does to the output; another number is another digest
SHORT_SHA = 7


def digest(group: Group, entries: Sequence[Entry], tools: str) -> str:
    """Return 64 hexadecimal digits, the same wherever and whenever the result would be.

    Raises AssetsError when nothing in the commit is an input.
    """
    chosen = select(entries, group.settings.inputs)
    if not chosen:
        raise AssetsError(
            f"nothing in the commit matches assets/inputs of {group.name}",
            where="kaiun.yml",
            hint=f"inputs are relative to kaiun.yml: {', '.join(group.settings.inputs)}",
        )
    seen = hashlib.sha256(f"kaiun assets {METHOD}\n{group.recipe}\n{tools}\n".encode())
    for entry in chosen:
        line = f"{entry.mode} {entry.name} {entry.path}\0"
        seen.update(line.encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def select(entries: Sequence[Entry], patterns: Sequence[str]) -> list[Entry]:
    """Return the entries that a pattern matches, or that lie below a folder that it matches."""
    if not patterns:
        return list(entries)
    expression = re.compile("|".join(map(_expression, patterns)), re.DOTALL)
    return [entry for entry in entries if expression.fullmatch(entry.path)]


def tools(found: str, variables: Mapping[str, str], workdir: str, revision: str) -> str:
    """Return what an image compiles with, without what changes with every commit.

    `found` is what probe.look saw. A variable that holds the commit's SHA is left out.
    """
    kept = {
        name: value
        for name, value in variables.items()
        if not (revision and revision[:SHORT_SHA] in value)
    }
    return json.dumps([found, sorted(kept.items()), workdir], ensure_ascii=False)


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern: `*` and `?` stay within a folder, `**` not."""
    normal = re.sub(r"^(\./)+|/+$", "", pattern)
    if normal in {"", "."}:
        return ".*"
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", normal)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "".join(meaning.get(part) or _literal(part) for part in parts)
    return f"{text}(?:/.*)?"


def _literal(part: str) -> str:
    if not (part.startswith("[") and part.endswith("]")):
        return re.escape(part)
    negated = part[1] in "!^"
    inside = part[2:-1] if negated else part[1:-1]
    return f"[{'^' if negated else ''}{re.escape(inside)}]".replace(r"\-", "-")
