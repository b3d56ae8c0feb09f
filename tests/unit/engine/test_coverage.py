"""The page of implemented operations is the truth."""

from __future__ import annotations

from pathlib import Path

from kaiun.engine import coverage
from kaiun.engine.dispatch import HANDLERS
from kaiun.engine.protocol import model as models

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "coverage.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == coverage.render(), "run: python -m kaiun.engine.coverage > " + str(
        PAGE.relative_to(PAGE.parents[2])
    )


def test_every_handler_is_of_an_operation_that_exists() -> None:
    coverage.render()
    for service, name in HANDLERS:
        assert name in models.load(service).operations
