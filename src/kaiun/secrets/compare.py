"""Compare two plaintexts, by key path or line by line."""

from __future__ import annotations

import difflib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kaiun.errors import SecretsError
from kaiun.secrets import values
from kaiun.secrets.vault import told


@dataclass(frozen=True, slots=True)
class Change:
    kind: Literal["added", "removed", "changed"]
    path: str


def by_path(old: bytes, new: bytes) -> list[Change]:
    """Return which values differ, without them. Raises SecretsError."""
    from kaiun.entry.vault.keypath import show

    before, after = _values(old), _values(new)
    changes: list[Change] = []
    for address, value in after.items():
        if address not in before:
            changes.append(Change("added", show(address[2])))
        elif before[address] != value:
            changes.append(Change("changed", show(address[2])))
    gone = [Change("removed", show(address[2])) for address in before if address not in after]
    return changes + gone


def unified(old: bytes, new: bytes, name: str) -> str:
    """Return a unified diff of two plaintexts."""
    lines = [text.decode("utf-8", "replace").splitlines(keepends=True) for text in (old, new)]
    one, two = [[line.rstrip("\n") + "\n" for line in some] for some in lines]
    return "".join(difflib.unified_diff(one, two, f"a/{name}", f"b/{name}"))


def committed(file: Path, rev: str) -> bytes:
    """Return a file of a commit, b"" when it is not there. Raises SecretsError."""
    folder = file.resolve().parent
    done = subprocess.run(
        ["git", "-C", str(folder), "show", f"{rev}:./{file.name}"],
        check=False, capture_output=True,
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    known = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}"],
        check=False, capture_output=True,
    )  # fmt: skip
    if known.returncode != 0:
        raise SecretsError(f"no commit {rev!r} here", where=str(file))
    return b""


def _values(data: bytes) -> dict[values.Address, tuple[str, str]]:
    with told("the plaintext"):
        document = values.read(data)
    return {
        address: (scalar.tag, scalar.value)
        for address, scalar in values.addressed(document.scalars)
    }
