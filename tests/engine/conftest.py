"""The real engine as a process of its own, on the null runtime, driven over HTTP."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

T = TypeVar("T")
DEADLINE_S = 20.0
PROGRAM = Path(sys.executable).with_name("kaiun-engine")
_names = itertools.count(1)


def until(condition: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Return the first true value of `condition`; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.02)
    return value


class Engine:
    """One engine of one home; can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.start()

    def start(self) -> None:
        self._log = (self.home / "engine.log").open("ab")
        self.process = subprocess.Popen(
            [
                str(PROGRAM), "--home", str(self.home), "--port", str(self.port),
                "--runtime", "null",
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "KAIUN_STEADY_S": "0.1"},
        )  # fmt: skip
        until(self._answers)
        self.port = int(self.env["endpoint"].rpartition(":")[2])

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "engine.log").read_text()
        try:
            if json.loads((self.home / "engine.pid").read_text()) != self.process.pid:
                return False
            with urllib.request.urlopen(f"{self.env['endpoint']}/_kaiun/health") as answer:
                return bool(json.load(answer)["pid"] == self.process.pid)
        except (OSError, ValueError, KeyError, urllib.error.URLError):
            return False

    @property
    def env(self) -> dict[str, str]:
        env: dict[str, str] = json.loads((self.home / "env.json").read_text())
        return env

    def client(self, service: str, **overrides: Any) -> Any:
        env = self.env
        return boto3.client(
            service,
            endpoint_url=overrides.pop("endpoint", env["endpoint"]),
            region_name=env["region"],
            aws_access_key_id=overrides.pop("access_key", env["access_key"]),
            aws_secret_access_key=overrides.pop("secret_key", env["secret_key"]),
            config=Config(retries={"max_attempts": 1}),
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=DEADLINE_S)
        self._log.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of one test alone."""
    engine = Engine(tmp_path)
    yield engine
    engine.stop()


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
