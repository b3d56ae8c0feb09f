"""A machine of one's own for the e2e tests: a home, free ports, a git repository with the shop.

Nothing is shared with the developer's own local ECS: the state lives in a temporary home, every
port is free at the start, and the shop is a repository of its own, so that tests can commit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kaiun.assets.carried import named

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
KAIUN = Path(sys.executable).parent / "kaiun"
AWS = Path(sys.executable).parent / "aws"
GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.com")


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    def json(self) -> Any:
        return json.loads(self.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(what: str, condition: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Return the first true value of `condition`; AssertionError when the deadline passes."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = condition()
        except (OSError, ValueError, KeyError) as error:
            last = error
        else:
            last = found
            if found:
                return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {timeout_s:g} s, last seen {last!r}")


@dataclass(slots=True)
class World:
    """The machine: `kaiun(...)` runs the command line, `commit(...)` changes the shop."""

    root: Path
    api_port: int = field(default_factory=free_port)
    registry_port: int = field(default_factory=free_port)
    fluent_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)

    @property
    def shop(self) -> Path:
        return self.root / "shop"

    @property
    def env(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KAIUN_"))}
        return {**keep, "KAIUN_HOME": str(self.root / "home"), "NO_COLOR": "1"}

    def prepare(self) -> None:
        shutil.copytree(REPOSITORY / "examples/shop", self.shop, symlinks=True)
        config = self.shop / "kaiun.yml"
        text = config.read_text()
        for old, new in (
            ("localhost:5000/", f"localhost:{self.registry_port}/"),
            ("127.0.0.1:24224", f"127.0.0.1:{self.fluent_port}"),
            ("listen: 8080", f"listen: {self.web_port}"),
            ("localhost:4580/", f"localhost:{self.api_port}/"),
        ):
            assert old in text, f"the shop's kaiun.yml no longer says {old}"
            text = text.replace(old, new)
        config.write_text(text)
        self.run(*GIT, "init", "-q", "-b", "main")
        self.commit("First")

    def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        timeout: float = 600,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        began = time.monotonic()
        done = subprocess.run(
            [str(a) for a in argv],
            cwd=cwd or self.shop,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def kaiun(self, *argv: str, expect: int | None = 0, timeout: float = 600) -> Result:
        result = self.run(KAIUN, *argv, timeout=timeout)
        if expect is not None:
            assert result.code == expect, (
                f"kaiun {' '.join(argv)}: exit {result.code}, expected {expect}\n"
                f"--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}\n"
                f"--- engine\n{self.engine_log()}"
            )
        return result

    def up(self) -> Result:
        ports = {
            "--port": self.api_port,
            "--registry-port": self.registry_port,
            "--fluent-port": self.fluent_port,
        }
        return self.kaiun("local", "up", *(str(word) for pair in ports.items() for word in pair))

    @property
    def aws_env(self) -> dict[str, str]:
        lines = self.kaiun("local", "env").stdout.splitlines()
        pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
        return {name: value.strip("'\"") for name, _, value in pairs}

    def aws(self, *argv: str, timeout: float = 120) -> Result:
        return self.run(AWS, *argv, env=self.aws_env, timeout=timeout)

    def aws_json(self, *argv: str) -> Any:
        result = self.aws(*argv, "--output", "json")
        assert result.code == 0, result.stderr
        return result.json()

    def commit(self, message: str) -> str:
        """Commit all of the shop's work tree; return the commit's SHA."""
        for argv in (("add", "-A"), ("commit", "-q", "-m", message)):
            result = self.run(*GIT, *argv)
            assert result.code == 0, result.stderr
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.shop / path
        text = file.read_text()
        assert old in text, f"{path} does not contain {old!r}"
        file.write_text(text.replace(old, new))

    def reset_to(self, sha: str) -> None:
        assert self.run("git", "reset", "-q", "--hard", sha).code == 0

    @contextmanager
    def branch_off(self) -> Iterator[str]:
        """Commits made inside are forgotten at the end; yields the SHA that comes back."""
        sha = self.run("git", "rev-parse", "HEAD").stdout.strip()
        try:
            yield sha
        finally:
            self.reset_to(sha)
            self.run("git", "clean", "-qfd")

    def get(self, path: str = "/") -> str:
        url = f"http://127.0.0.1:{self.web_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()

    @property
    def engine_pid(self) -> int:
        return int((self.root / "home/local/engine.pid").read_text().split()[0])

    def kill_engine(self) -> None:
        pid = self.engine_pid
        os.kill(pid, signal.SIGKILL)
        until("the engine is gone", lambda: not _alive(pid), 10)

    def engine_log(self) -> str:
        log = self.root / "home/local/engine.log"
        return "\n".join(log.read_text().splitlines()[-30:]) if log.exists() else ""

    def containers(self) -> set[str]:
        """Ids of the running containers that belong to this world's engine, without helpers."""
        engine = self.engine_id
        fmt = '{{.ID}} {{.Label "kaiun.container"}}'
        out = self.run(
            "docker",
            "ps",
            "--no-trunc",
            "--filter",
            f"label=kaiun.engine={engine}",
            "--format",
            fmt,
        ).stdout
        rows = (line.split() for line in out.splitlines())
        return {row[0] for row in rows if len(row) == 2}

    @property
    def engine_id(self) -> str:
        url = f"http://127.0.0.1:{self.api_port}/_kaiun/health"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: str = json.load(answer)["engine_id"]
        return found

    def down(self) -> None:
        """Leave nothing behind: containers, volumes, processes."""
        for words in (("reset", "--yes"), ("down",)):
            self.kaiun("local", *words, timeout=120)
        self.drop_asset_caches(self.root / "home")

    def drop_asset_caches(self, home: Path) -> None:
        """Remove the volumes that carried what builds from a state home compiled."""
        kept = named(home)
        listed = self.run("docker", "volume", "ls", "--quiet").stdout.split()
        if caches := [name for name in listed if name.rpartition("-")[0] in kept]:
            self.run("docker", "volume", "rm", *caches)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def table_rows(page: str, css: str) -> list[str]:
    """Return the text of each element with the class `css`, tags removed."""
    found = re.findall(rf'<[^>]*class="[^"]*\b{css}\b[^"]*"[^>]*>(.*?)</', page, re.S)
    return [re.sub(r"<[^>]+>", "", text).strip() for text in found]
