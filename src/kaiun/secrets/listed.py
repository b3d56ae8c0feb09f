"""The vault files that kaiun.yml lists under `start.secrets`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Item(Protocol):
    """One entry of `start.secrets`."""

    @property
    def file(self) -> str: ...

    @property
    def format(self) -> str: ...

    @property
    def options(self) -> Mapping[str, str]: ...

    @property
    def key(self) -> str | None: ...

    @property
    def sign_key(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A vault file, what it is, and where its container finds the keys."""

    file: Path
    format: str
    options: Mapping[str, str]
    key: str | None
    sign_key: str | None


def listed(root: Path, items: Iterable[Item]) -> list[Listed]:
    """Return the vault files of kaiun.yml in the folder `root`."""
    return [
        Listed(root / item.file, item.format, item.options, item.key, item.sign_key)
        for item in items
    ]
