"""How late `kaiun deploy` notices the end of a rollout, and for how many API calls.

A service behind the balancer is rolled over about a minute (the deregistration delay makes it
so). The end is what the engine itself recorded: the service deployment's finishedAt. Beside it,
on the same rollout, `aws ecs wait services-stable`.

python -m bench.rollout
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from bench._machine import BIN, Machine, machine, until

ROUNDS = 3
DRAIN_S = 50
LAG_LIMIT_S = 1.0
CALLS_LIMIT = 20
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com")
CONFIG = """\
app: bench
image: {{repository: {registry}/bench}}
state: null
processes:
  web:
    command: busybox httpd -f -p 3000 -h /srv
    port: 3000
    health: {{path: /up, interval: 5, timeout: 2}}
    memory: 64
    count: 1
    listen: {port}
    drain: {drain}
    stop_timeout: 2
logs: {{driver: json-file}}
"""
DOCKERFILE = """\
FROM kaiun-base:bookworm
COPY busybox /bin/busybox
COPY up index.html /srv/
"""


def write_app(folder: Path, registry: str, port: int) -> None:
    folder.mkdir()
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is not installed: make setup"
    shutil.copy(busybox, folder / "busybox")
    (folder / "up").write_text("up\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "kaiun.yml").write_text(CONFIG.format(registry=registry, port=port, drain=DRAIN_S))
    subprocess.run([*GIT, "init", "-q"], cwd=folder, check=True)


def commit(folder: Path, text: str) -> None:
    (folder / "index.html").write_text(text)
    subprocess.run([*GIT, "add", "-A"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", text], cwd=folder, check=True)


def one_rollout(here: Machine, app: Path, ecs: Any) -> tuple[float, float, int, float]:
    """Return (lag of kaiun, lag of the waiter, API calls of the deploy, length of the rollout)."""
    began = time.time()
    deploy = subprocess.Popen(
        [str(BIN / "kaiun"), "deploy", "--json"],
        cwd=app,
        env=here.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until(
        "the rollout begins",
        lambda: len(service(ecs)["deployments"]) > 1 or deploy.poll() is not None,
        poll_s=0.2,
    )
    words = ("ecs", "wait", "services-stable", "--cluster", "bench", "--services")
    waiter = subprocess.Popen([str(BIN / "aws"), *words, "bench-local-web"], env=here.env)
    out, _ = deploy.communicate(timeout=300)
    kaiun_end = time.time()
    waiter.wait(300)
    waiter_end = time.time()
    assert deploy.returncode == 0
    assert waiter.returncode == 0
    calls: dict[str, int] = json.loads(out)["calls"]
    listed = ecs.list_service_deployments(cluster="bench", service="bench-local-web")
    last = listed["serviceDeployments"][0]
    done = last["finishedAt"].timestamp()
    assert last["createdAt"].timestamp() > began
    return (
        kaiun_end - done,
        waiter_end - done,
        sum(calls.values()),
        done - last["createdAt"].timestamp(),
    )


def service(ecs: Any) -> Any:
    return ecs.describe_services(cluster="bench", services=["bench-local-web"])["services"][0]


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with machine() as here:
        env = json.loads(here.kaiun("local", "env", "--json"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        app = here.root / "app"
        write_app(app, registry_of(here, env), port)
        commit(app, "first")
        here.kaiun("deploy", cwd=app)
        ecs = here.client("ecs")
        rows = []
        for n in range(ROUNDS):
            commit(app, f"change {n}")
            rows.append(one_rollout(here, app, ecs))
    lag, waiter, calls, length = (statistics.median(column) for column in zip(*rows, strict=True))
    return [
        (
            f"kaiun deploy: lag after a rollout of {length:.0f} s",
            f"{lag:.2f} s",
            f"≤ {LAG_LIMIT_S} s",
        ),
        ("  aws ecs wait services-stable, same rollout", f"{waiter:.2f} s", "—"),
        ("kaiun deploy: API calls of it", f"{calls:.0f}", f"≤ {CALLS_LIMIT}"),
    ]


def registry_of(here: Machine, env: dict[str, str]) -> str:
    found = json.loads((Path(here.env["KAIUN_HOME"]) / "local/env.json").read_text())
    return str({**env, **found}["registry"])


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
