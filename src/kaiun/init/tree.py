"""The folder of an app, as `kaiun init` reads it: text, or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder; paths are relative to it."""

    root: Path

    def has(self, path: str) -> bool:
        """Return whether there is such a file or folder."""
        return (self.root / path).exists()

    def any_of(self, *patterns: str) -> tuple[str, ...]:
        """Return which files and folders there are, in the order of the patterns."""
        found = (
            each.relative_to(self.root).as_posix()
            for pattern in patterns
            for each in sorted(self.root.glob(pattern))
        )
        return tuple(dict.fromkeys(found))

    def text(self, path: str) -> str:
        """Return the text of a file; "" where there is none, or what no source file would be."""
        try:
            with (self.root / path).open("rb") as stream:
                return stream.read(BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            return ""

    def code(self, path: str) -> str:
        """Return the text of a Ruby file without its comment lines."""
        return re.sub(r"(?m)^\s*#.*$", "", self.text(path))

    def yaml_mapping(self, path: str) -> Mapping[str, Any]:
        """Return the mapping of a YAML file in which ERB may stand; empty where it has none."""
        text = re.sub(r"(?m)^\s*<%[^=].*?%>\s*$", "", self.text(path))
        try:
            found = yaml.safe_load(re.sub(r"<%.*?%>", "erb", text, flags=re.DOTALL))
        except yaml.YAMLError:
            return {}
        return found if isinstance(found, dict) else {}

    def json_object(self, path: str) -> Mapping[str, Any]:
        """Return the object of a JSON file; empty where it has none."""
        try:
            found = json.loads(self.text(path))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def only(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those of the paths that are there."""
        return tuple(path for path in paths if self.has(path))
