"""`kaiun build` of the shop: an unchanged commit, and one changed line of Ruby.

Beside the changed line, on commits of the same kind and in turns: `docker build` and `docker push`
of the same Dockerfile to the same registry, which add no layer of kaiun's and ask nobody. What
kaiun does beside them takes about the same time for every app, and the shop is smaller than any:
so it is measured with more files too. Their image has no assets, kaiun's has them: a row without
a limit tells what they take with a Dockerfile that compiles them, as the one of Rails does.

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
MORE = (0, 1000, 3000)  # files of Ruby beside the shop's own
METHOD = """\
  def act_{n}(order, amount: {n})
    return if order.nil?

    order.fetch(:lines, []).sum {{ |line| line[:price] * amount }}
  end
"""
COMPILE = (
    "RUN SECRET_KEY_BASE=0 DATABASE_URL=postgres://nowhere bundle exec rails assets:precompile"
)
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com")


@dataclass(frozen=True, slots=True)
class Shop:
    """A repository of the shop whose images go to the registry of a local ECS."""

    here: Machine
    folder: Path
    registry: str

    def grow(self, files: int) -> None:
        """Commit that many more files of Ruby."""
        parts = self.folder / "app/models/parts"
        parts.mkdir()
        body = "\n".join(METHOD.format(n=n) for n in range(12))
        for number in range(files):
            text = f"class Parts::Part{number}\n{body}end\n"
            (parts / f"part{number}.rb").write_text(text)
        self._run(*GIT, "add", "-A")
        self._run(*GIT, "commit", "-qm", f"{files} files of Ruby", "--allow-empty")

    def change(self) -> None:
        """Commit one more line of Ruby."""
        with (self.folder / RUBY).open("a") as file:
            file.write(f"# {uuid.uuid4()}\n")
        self._run(*GIT, "commit", "-qam", "A line of Ruby")

    def build(self) -> float:
        """Return the seconds of `kaiun build`."""
        return self._timed((str(BIN / "kaiun"), "build"))

    def plain(self, docker: str, dockerfile: str = "Dockerfile") -> float:
        """Return the seconds of `docker build` and `docker push`."""
        name = f"{self.registry}/plain:{uuid.uuid4().hex[:12]}"
        build = (docker, "build", "-q", "-t", name, "-f", dockerfile, ".")
        seconds = self._timed(build, (docker, "push", name))
        self._run(docker, "image", "rm", name)
        return seconds

    def compiling(self, docker: str) -> float:
        """Return the median seconds of the two where the Dockerfile compiles the assets."""
        text = (self.folder / "Dockerfile").read_text()
        other = self.folder.with_suffix(".Dockerfile")
        other.write_text(text.replace("\nUSER shop", f"{COMPILE}\n\nUSER shop"))
        seconds = []
        for _ in range(ROUNDS):
            self.change()
            seconds.append(self.plain(docker, str(other)))
        return statistics.median(seconds)

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


def prepare(here: Machine, name: str) -> Shop:
    """Return the shop in a repository of its own."""
    from kaiun.local.home import read_env

    folder = here.root / name
    registry = read_env(Path(here.env["KAIUN_HOME"]) / "local").registry
    shutil.copytree(SHOP, folder, symlinks=True)
    config = folder / "kaiun.yml"
    config.write_text(config.read_text().replace("localhost:5000/shop", f"{registry}/{name}"))
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "First")):
        subprocess.run([*GIT, *words], cwd=folder, check=True)
    return Shop(here, folder, registry)


def changed(shop: Shop, docker: str) -> tuple[float, float]:
    """Return the seconds of `kaiun build` and of docker, where one line of Ruby changed."""
    shop.build()
    shop.plain(docker)
    ours, plain = [], []
    for _ in range(ROUNDS):
        shop.change()
        ours.append(shop.build())
        shop.change()
        plain.append(shop.plain(docker))
    return statistics.median(ours), statistics.median(plain)


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    from kaiun.image.client import find

    docker = find().program
    with machine() as here:
        shops = [prepare(here, f"shop-{files}") for files in MORE]
        shops[0].build()
        unchanged = statistics.median(shops[0].build() for _ in range(ROUNDS))
        rows = [
            ("kaiun build, unchanged commit", f"{unchanged:.2f} s", f"≤ {UNCHANGED_LIMIT_S:g} s")
        ]
        for shop, files in zip(shops, MORE, strict=True):
            shop.grow(files)
            ours, plain = changed(shop, docker)
            which = f"the shop and {files:,} files" if files else "the shop"
            rows += [
                (
                    f"kaiun build, one line of Ruby: {which}",
                    f"{ours / plain:.2f} ×",
                    f"≤ {CHANGED_LIMIT:g} ×",
                ),
                ("  kaiun build", f"{ours:.2f} s", "—"),
                ("  docker build && docker push", f"{plain:.2f} s", "—"),
            ]
        compiling = shops[0].compiling(docker)
        rows.append(("  the same, assets in the shop's Dockerfile", f"{compiling:.2f} s", "—"))
    return rows


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
