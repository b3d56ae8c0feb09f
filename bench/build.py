"""`kaiun build` of the shop: an unchanged commit, and one changed line of Ruby.

Beside the changed line, on commits of the same kind and in turns: `docker build` and `docker push`
of the same Dockerfile to the same registry, which add no layer of kaiun's and ask nobody.

python -m bench.build
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from bench._machine import BIN, Machine, machine

ROUNDS = 5
UNCHANGED_LIMIT_S = 1.0
CHANGED_LIMIT = 1.2  # times docker's
SHOP = Path(__file__).parents[1] / "examples/shop"
RUBY = "app/models/product.rb"
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com")


@dataclass(frozen=True, slots=True)
class Shop:
    """A repository of the shop whose images go to the registry of a local ECS."""

    here: Machine
    folder: Path
    registry: str

    def change(self) -> None:
        """Commit one more line of Ruby."""
        with (self.folder / RUBY).open("a") as file:
            file.write(f"# {uuid.uuid4()}\n")
        self._run(*GIT, "commit", "-qam", "A line of Ruby")

    def build(self) -> float:
        """Return the seconds of `kaiun build`."""
        return self._timed((str(BIN / "kaiun"), "build"))

    def plain(self, docker: str) -> float:
        """Return the seconds of `docker build` and `docker push`."""
        name = f"{self.registry}/plain:{uuid.uuid4().hex[:12]}"
        seconds = self._timed((docker, "build", "-q", "-t", name, "."), (docker, "push", name))
        self._run(docker, "image", "rm", name)
        return seconds

    def _timed(self, *commands: tuple[str, ...]) -> float:
        began = time.perf_counter()
        for command in commands:
            self._run(*command)
        return time.perf_counter() - began

    def _run(self, *command: str) -> None:
        env = self.here.env | {"DOCKER_BUILDKIT": "1"}
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")


def prepare(here: Machine) -> Shop:
    """Return the shop in a repository of its own."""
    from kaiun.local.home import read_env

    folder = here.root / "shop"
    registry = read_env(Path(here.env["KAIUN_HOME"]) / "local").registry
    shutil.copytree(SHOP, folder, symlinks=True)
    config = folder / "kaiun.yml"
    config.write_text(config.read_text().replace("localhost:5000/", f"{registry}/"))
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "First")):
        subprocess.run([*GIT, *words], cwd=folder, check=True)
    return Shop(here, folder, registry)


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    from kaiun.image.client import find

    docker = find().program
    with machine() as here:
        shop = prepare(here)
        shop.build()
        shop.plain(docker)
        unchanged = statistics.median(shop.build() for _ in range(ROUNDS))
        ours, plain = [], []
        for _ in range(ROUNDS):
            shop.change()
            ours.append(shop.build())
            shop.change()
            plain.append(shop.plain(docker))
    changed, docker_s = statistics.median(ours), statistics.median(plain)
    return [
        ("kaiun build, unchanged commit", f"{unchanged:.2f} s", f"≤ {UNCHANGED_LIMIT_S:g} s"),
        ("kaiun build, one line of Ruby", f"{changed / docker_s:.2f} ×", f"≤ {CHANGED_LIMIT:g} ×"),
        ("  kaiun build", f"{changed:.2f} s", "—"),
        ("  docker build && docker push", f"{docker_s:.2f} s", "—"),
    ]


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
