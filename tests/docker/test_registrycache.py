"""Hosts that come and go: what one Docker Engine built, an empty one takes from the registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.images import Bench

from kaiun.image import Registry
from kaiun.image.reference import parse

pytestmark = pytest.mark.docker
alone = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("ip"),
    reason="a Docker Engine of one's own needs root, dockerd and ip",
)

DOCKERFILE = """\
FROM scratch AS system
COPY system/ /
FROM system AS gems
RUN echo compiled >/gem
FROM system
RUN echo prepared >/here
COPY --from=gems /gem /gem
COPY code /code
"""


@contextmanager
def bridge() -> Iterator[str]:
    """Make a bridge: a Docker Engine that is given none takes docker0 away from all others."""
    name = f"kaiun{uuid.uuid4().hex[:6]}"
    ip("link", "add", name, "type", "bridge")
    try:
        ip("address", "add", "192.0.2.1/28", "dev", name)  # of no network: RFC 5737
        yield name
    finally:
        ip("link", "delete", name)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def answers(address: str) -> bool:
    command = ["docker", f"--host={address}", "version"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def empty_engine() -> Iterator[str]:
    """Run a Docker Engine of its own, with nothing in it; yield its address."""
    with (
        tempfile.TemporaryDirectory(prefix="kaiun-dockerd-", ignore_cleanup_errors=True) as name,
        bridge() as own,
    ):
        address, log = f"unix://{name}/docker.sock", Path(name) / "log"
        places = [f"--{kind}={name}/{kind}" for kind in ("data-root", "exec-root", "pidfile")]
        network = [f"--bridge={own}", "--iptables=false", "--ip6tables=false"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["dockerd", f"--host={address}", *places, *network], stdout=output, stderr=output
            )
        try:
            deadline = time.monotonic() + 60
            while not answers(address):
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def steps(bench: Bench) -> dict[str, bool]:
    """Return each RUN of the last build, and whether its result was taken from a cache."""
    runs = [event for event in bench.events if event.name.startswith("RUN")]
    return {event.name: event.cached for event in runs}


@alone
def test_an_empty_host_takes_unchanged_steps_from_the_registry(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("1", "2"):
        bench.repository.commit({"Dockerfile": DOCKERFILE, "code": code})
        bench.events.clear()
        with empty_engine() as address:
            monkeypatch.setenv("DOCKER_HOST", address)
            assert bench.ensure(cache=True).built
            monkeypatch.delenv("DOCKER_HOST")
        assert not [event for event in bench.events if "the cache was not pushed" in event.line]
        assert list(steps(bench).values()) == [code == "2"] * 2, steps(bench)
    known = Registry()
    for tag in ("cache", "cache-gems"):
        assert known.digest(parse(f"{bench.source.repository}:{tag}"))


def test_without_it_nothing_more_is_pushed(bench: Bench) -> None:
    bench.ensure()
    assert Registry().digest(parse(f"{bench.source.repository}:cache")) is None
