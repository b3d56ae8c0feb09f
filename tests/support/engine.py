"""The real engine as a process of its own, on the null runtime, and what tests ask of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from kaiun.local.admin import post
from kaiun.local.home import read_env

T = TypeVar("T")
DEADLINE_S = 45.0  # of a machine that does other things too
START_S = 60.0  # of a machine with much else to do
PROGRAM = Path(sys.executable).with_name("kaiun-engine")


def until(condition: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Return the first true value of `condition`; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.02)
    return value


class Engine:
    """One engine of one home; can be killed and started again."""

    def __init__(self, home: Path, runtime: str = "null", *options: str) -> None:
        self.home = home
        self.runtime = runtime
        self.options = options
        self.ports = ["0", "0", "0"]  # the API's, the registry's, the log receiver's
        self.start()

    @property
    def port(self) -> int:
        return int(self.ports[0])

    def start(self) -> None:
        with (self.home / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(PROGRAM), "--home", str(self.home), "--port", self.ports[0],
                    "--registry-port", self.ports[1], "--fluent-port", self.ports[2],
                    "--runtime", self.runtime, *self.options,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "KAIUN_STEADY_S": "0.1"},
            )  # fmt: skip
        until(self._answers, START_S)
        addresses = (self.env[name] for name in ("endpoint", "registry", "fluent"))
        self.ports = [address.rpartition(":")[2] for address in addresses]

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

    def shut_down(self) -> None:
        """End the engine and everything that it started, such as the side services."""
        if self.process.poll() is None:
            post(read_env(self.home), "/_kaiun/shutdown", DEADLINE_S)
            self.process.wait(timeout=DEADLINE_S)

    def empty_out(self) -> None:
        """Reset and shut down, whatever state it is in: nothing is left but its home."""
        if self.process.poll() is not None:
            self.start()
        post(read_env(self.home), "/_kaiun/reset", DEADLINE_S)
        self.shut_down()

    def log(self) -> str:
        return (self.home / "engine.log").read_text()

    def stop(self) -> None:
        """End the engine alone; what it started stays for the next one."""
        self.process.terminate()
        self.process.wait(timeout=DEADLINE_S)


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry.example/shop", "memory": 64, **fields}


def null(**labels: object) -> dict[str, str]:
    """Return docker labels for the null runtime."""
    return {f"kaiun.null.{name}": str(value) for name, value in labels.items()}


def register(ecs: Any, family: str, *containers: dict[str, Any], **fields: Any) -> str:
    answer = ecs.register_task_definition(
        family=family, containerDefinitions=list(containers) or [container()], **fields
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def describe(ecs: Any, cluster: str, service: str) -> dict[str, Any]:
    answer = ecs.describe_services(cluster=cluster, services=[service])
    found: dict[str, Any] = answer["services"][0]
    return found


def wait_rollout(ecs: Any, cluster: str, service: str, state: str = "COMPLETED") -> dict[str, Any]:
    """Return the service once it has one deployment, in this rollout state, and all its tasks."""

    def done() -> dict[str, Any] | None:
        found = describe(ecs, cluster, service)
        deployments = found["deployments"]
        settled = len(deployments) == 1 and deployments[0]["rolloutState"] == state
        counts = found["runningCount"] == found["desiredCount"] or state == "FAILED"
        return found if settled and counts and not found["pendingCount"] else None

    found = until(done)
    assert found is not None
    return found


def wait_stopped(ecs: Any, cluster: str, task: str) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        found: dict[str, Any] = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
        return found if found["lastStatus"] == "STOPPED" else None

    found = until(done)
    assert found is not None
    return found


def messages(service: dict[str, Any]) -> list[str]:
    """Return the service's events, oldest first."""
    return [event["message"] for event in reversed(service["events"])]
