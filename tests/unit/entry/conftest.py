"""The entry in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.entry import Entry


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Entry(tmp_path)
