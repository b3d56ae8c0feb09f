"""A local ECS for a bench: its own home, its own ports, gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

BIN = Path(sys.executable).parent
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """A running local ECS; `env` points any AWS client, and kaiun, at it."""

    root: Path
    env: dict[str, str]

    def kaiun(self, *argv: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [str(BIN / "kaiun"), *argv],
            cwd=cwd or self.root,
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"kaiun {' '.join(argv)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def machine(*options: str, **settings: str) -> Iterator[Machine]:
    """Start a local ECS with real containers on free ports.

    `options` are further ones of `kaiun local up`, `settings` its environment.
    """
    with tempfile.TemporaryDirectory(prefix="kaiun-bench-") as folder:
        root = Path(folder)
        base = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KAIUN_"))}
        bare = Machine(root, {**base, **settings, "KAIUN_HOME": str(root / "home")})
        ports = ("--port", "0", "--registry-port", "0", "--fluent-port", "0")
        bare.kaiun("local", "up", *ports, *options)
        try:
            lines = bare.kaiun("local", "env").splitlines()
            pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
            found = {name: value.strip("'\"") for name, _, value in pairs}
            yield Machine(root, {**bare.env, **found})
        finally:
            bare.kaiun("local", "reset", "--yes")
            bare.kaiun("local", "down")


def until(
    what: str, condition: Callable[[], T | None], timeout_s: float = 60.0, *, poll_s: float = 0.02
) -> T:
    """Return the first true value of `condition`; TimeoutError when the deadline passes.

    `poll_s` bounds how late the answer can be: choose it well below what is measured.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(poll_s)
    raise TimeoutError(f"{what}: not within {timeout_s:g} s")
