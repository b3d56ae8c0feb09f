"""An app in a git work tree, kaiun run in it, and a local ECS with imagined containers for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaiun.cli.main import run
from kaiun.local import process
from kaiun.local.home import engine_home

Yaml = dict[str, Any]
NOBODY = {
    "GIT_AUTHOR_NAME": "T",
    "GIT_AUTHOR_EMAIL": "t@example.com",
    "GIT_COMMITTER_NAME": "T",
    "GIT_COMMITTER_EMAIL": "t@example.com",
}


@dataclass
class App:
    """A git work tree with a kaiun.yml, and kaiun run in it."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    err: str = ""
    out: str = ""

    def commit(self, config: Yaml) -> None:
        (self.root / "kaiun.yml").write_text(yaml.safe_dump(config, sort_keys=False))
        for command in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "a change"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)

    def kaiun(self, *arguments: str) -> int:
        self.capsys.readouterr()
        code = run([*arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *arguments: str) -> Any:
        assert self.kaiun(*arguments, "--json") == 0, self.err
        return json.loads(self.out)

    def worker(self) -> Any:
        """Return what `kaiun status` says of the first process."""
        return self.json("status")[0]


@contextmanager
def imagined(root: Path) -> Iterator[Path]:
    """Hold a local ECS of a home of its own, without Docker; KAIUN_HOME is set to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAIUN_HOME", str(root))
        patch.setenv("KAIUN_STEADY_S", "0.1")
        process.up(engine_home(), process.Ports(0, 0, 0), runtime="null")
        try:
            yield root
        finally:
            process.down(engine_home())


def work_tree(root: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> App:
    """Return an app in a new git repository; the current directory is in it from now on."""
    for name, value in NOBODY.items():
        patch.setenv(name, value)
    patch.chdir(root)
    subprocess.run(["git", "init", "-q", "."], check=True)
    return App(root, capsys)


def config(name: str, labels: Yaml | None = None, **changes: Any) -> Yaml:
    """Return a kaiun.yml of one worker; `labels` tell the imagined container what to do."""
    container = {"name": "worker", "dockerLabels": labels or {"v": "1"}}
    worker = {
        "image": "localhost:1/app@sha256:" + "0" * 64,
        "count": 2,
        "stop_timeout": 2,
        "task_definition": {"containerDefinitions": [container]},
        **changes,
    }
    return {
        "app": name,
        "image": {"repository": "localhost:1/app"},
        "logs": {"driver": "json-file"},
        "processes": {"worker": worker},
    }
