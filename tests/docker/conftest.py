"""Every test here needs a Docker Engine, and leaves nothing behind in it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.containers import Harness, clean, make_image

Body = Callable[[], Awaitable[None]]


@pytest.fixture(scope="session")
def image() -> str:
    if shutil.which("docker") is None:
        pytest.skip("no Docker client")
    return make_image()


@pytest.fixture
def harness(tmp_path: Path, image: str) -> Iterator[Harness]:
    engine_id = uuid.uuid4().hex
    yield Harness(engine_id, tmp_path, image)
    clean(engine_id)


@pytest.fixture
def run(harness: Harness) -> Callable[[Body], None]:
    """Run a test's coroutine with the runtime open, and let go of it afterwards."""

    def runner(body: Body) -> None:
        async def whole() -> None:
            await harness.open()
            try:
                await body()
            finally:
                await harness.runtime.close()

        asyncio.run(whole())

    return runner
