"""The engine that the tests share, one of a test alone, clients, names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli_app import App, imagined, work_tree
from support.engine import Engine

_names = itertools.count(1)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.shut_down()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of one test alone."""
    engine = Engine(tmp_path)
    yield engine
    engine.shut_down()


@pytest.fixture
def ecs(engine: Engine) -> Any:
    return engine.client("ecs")


@pytest.fixture
def elbv2(engine: Engine) -> Any:
    return engine.client("elbv2")


@pytest.fixture
def logs(engine: Engine) -> Any:
    return engine.client("logs")


@pytest.fixture
def cluster(ecs: Any) -> str:
    """A cluster of one test alone."""
    name = f"cluster-{next(_names)}"
    ecs.create_cluster(clusterName=name)
    return name


@pytest.fixture
def family() -> str:
    return f"family-{next(_names)}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A local ECS with imagined containers for the tests of one module."""
    with imagined(tmp_path_factory.mktemp("home")) as root:
        yield root


@pytest.fixture
def app(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> App:
    """An app in a git work tree of its own, and kaiun run in it."""
    return work_tree(tmp_path, monkeypatch, capsys)
