"""`kaiun build` of an unchanged commit over SSH, beside the same build here and a bare connection.

python -m bench buildhost        (git, sshd, docker-registry)

The host is this machine: a real sshd on loopback. A developer's connection to it costs what `ssh
HOST true` costs, handshake and all, and the question to the registry what it costs here.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.build_host import build_host
from support.images import DOCKERFILE, registry_process, system
from support.repository import Repository

ROUNDS = 9
LIMIT_MS = 1000.0
LIMIT_RATIO = 1.5
KAIUN = (sys.executable, "-m", "kaiun.cli.main", "build")


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure: medians of runs that take turns."""
    with tempfile.TemporaryDirectory(prefix="kaiun-bench-") as name:
        root = Path(name)
        (root / "host").mkdir()
        with registry_process(root) as registry, build_host(root / "host") as host:
            here = _app(root / "here", f"{{repository: {registry}/bench}}")
            there = _app(root / "there", f"{{repository: {registry}/bench, host: '{host.url}'}}")
            env = host.environment()
            ways: dict[str, tuple[Sequence[str], Path]] = {
                "there": (KAIUN, there),
                "here": (KAIUN, here),
                "ssh": (["ssh", host.alias, "true"], there),
            }
            _once(KAIUN, there, env)  # builds and pushes
            here_env = {**env, "PATH": f"{env['PATH']}:/usr/bin:/bin"}
            del here_env["DOCKER_HOST"]
            _once(KAIUN, here, here_env)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way, (argv, cwd) in ways.items():
                    times[way].append(_once(argv, cwd, here_env if way == "here" else env))
    ms = {way: statistics.median(each) for way, each in times.items()}
    ratio = ms["there"] / (ms["here"] + ms["ssh"])
    return [
        ("build over SSH, nothing changed", f"{ms['there']:.0f} ms", f"≤ {LIMIT_MS:g} ms"),
        ("  of the same here + `ssh HOST true`", f"{ratio:.2f} ×", f"≤ {LIMIT_RATIO:g} ×"),
        ("  the same here", f"{ms['here']:.0f} ms", "—"),
        ("  ssh HOST true", f"{ms['ssh']:.0f} ms", "—"),
    ]


def _app(root: Path, image: str) -> Path:
    config = f"app: bench\nimage: {image}\nprocesses: {{web: {{command: /bin/sh}}}}\n"
    repository = Repository(root)
    repository.commit({**system(), "Dockerfile": DOCKERFILE, "kaiun.yml": config})
    return repository.path


def _once(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> float:
    """Return the milliseconds that a command takes, which has to succeed."""
    began = time.perf_counter()
    subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
