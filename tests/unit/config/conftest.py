"""A kaiun.yml in a temporary folder, loaded without the environment of the test run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Protocol

import pytest

from kaiun.config import Config, Resolver, load

BASE = "app: shop\nimage: {repository: registry.example.com/shop}\n"


class Loaded(Protocol):
    """Loads what is written below the required keys."""

    def __call__(
        self,
        text: str,
        environment: str = "local",
        *,
        resolve: Resolver | None = None,
        revision: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        """Return the configuration."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(text: str) -> Path:
        file = tmp_path / "kaiun.yml"
        file.write_text(BASE + dedent(text))
        return file

    return write_file


@pytest.fixture
def loaded(write: Callable[[str], Path]) -> Loaded:
    def load_text(
        text: str,
        environment: str = "local",
        *,
        resolve: Resolver | None = None,
        revision: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        file = write(text)
        return load(file, environment, resolve=resolve, revision=revision, environ=environ or {})

    return load_text
