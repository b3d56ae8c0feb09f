"""The entry as it stands in an image, but in a folder: started as a process, on this Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kaiun.image import layer
from kaiun.image.startfile import ImageFacts

T = TypeVar("T")
Json = dict[str, Any]


def part(**given: Any) -> Json:
    """One environment's part of start.json."""
    empty: Json = {
        "steps": [], "processes": {}, "tasks": {}, "secret": [], "keys": [], "console": None,
        "directory": None, "region": "",
    }  # fmt: skip
    return {**empty, **given}


def item(name: str, timeout: float = 5, **given: Any) -> Json:
    return {"name": name, "timeout": timeout, **given}


@dataclass(slots=True)
class Entry:
    """`run` starts it and waits; `start` starts it."""

    folder: Path
    program: Path = field(init=False)
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.program = self.folder / "kaiun/entry"
        self.work = self.folder / "work"
        self.work.mkdir()

    def make(self, **given: Any) -> Entry:
        """Write start.json with one part, for `""` and "staging"."""
        return self.write({"": part(**given), "staging": part(**given)})

    def write(self, parts: Mapping[str, Json], **more: Any) -> Entry:
        document: Json = {
            "format": 1,
            "app": "shop",
            "workdir": str(self.work),
            "entrypoint": [],
            "command": [],
            "environments": {name: index for index, name in enumerate(parts)},
            "settings": list(parts.values()),
            **more,
        }
        context = self.folder / "context"
        facts = ImageFacts(workdir=str(self.work))
        if not self.program.exists():
            layer.write(context, document, facts, "a" * 40)
            assemble = str(context / "assemble.py")
            script = "import sys; sys.argv[0] = 'x'; exec(open(sys.argv.pop(1)).read())"
            argv = [sys.executable, "-c", script, assemble, "make", str(context)]
            subprocess.run([*argv, str(self.program.parent)], check=True)
        (self.program.parent / "start.json").write_text(json.dumps(document, ensure_ascii=False))
        return self

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **given}

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            cwd=self.work,
            env=self.environ(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=30,
            check=False,
        )

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.program, *words],
            cwd=self.work,
            env=self.environ(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.splitlines() or [""])[-1]


def until(what: str, condition: Callable[[], T], timeout_s: float = 10.0) -> T:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {timeout_s:g} s")
