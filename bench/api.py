"""The engine's API under load: DescribeServices of 10 among 1,000 services, eight clients.

Each client is a process of its own with one keep-alive connection, and shares the machine with the
server. Requests are signed beforehand: what is measured is the server. A moto server with the same
services stands beside it. python -m bench api
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench._machine import until

SERVICES = 1000
CLIENTS = 8
SECONDS = 2.0
ROUNDS = 3
POLL_S = 0.002  # of a start that takes about 200 ms
TARGET = "AmazonEC2ContainerServiceV20141113.DescribeServices"
Keys = tuple[str, str]
MOTO_KEYS = ("AKIA", "secret")


def run() -> list[tuple[str, str, str]]:
    """Return (figure, measured, limit)."""
    first = statistics.median(_first_response_s() for _ in range(5))
    with _engine() as (port, keys, pid):
        idle = _rss_mib(pid)
        _fill(port, keys)
        rates = [_rate(port, keys) for _ in range(ROUNDS)]
        full = _rss_mib(pid)
    with _moto() as port:
        _fill(port, MOTO_KEYS)
        moto = statistics.median(_rate(port, MOTO_KEYS) for _ in range(ROUNDS))
    return [
        ("DescribeServices of 10 among 1,000", f"{statistics.median(rates):,.0f}/s", "≥ 1,000/s"),
        ("the same, moto server", f"{moto:,.0f}/s", "-"),
        ("engine, resident after start", f"{idle:.0f} MB", "≤ 60 MB"),
        ("engine, resident with 1,000 services", f"{full:.0f} MB", "-"),
        ("engine, first response after start", f"{first:.2f} s", "≤ 0.5 s"),
    ]


def _program() -> str:
    return str(Path(sys.executable).with_name("kaiun-engine"))


def _start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [_program(), "--home", str(home), "--port", "0", "--runtime", "null"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "KAIUN_STEADY_S": "0.1"},
    )


def _first_response_s() -> float:
    """Return the time from starting the process to the first 200 of its health."""
    with tempfile.TemporaryDirectory() as home:
        began = time.monotonic()
        process = _start(Path(home))
        try:
            until("the engine answers", lambda: _healthy(Path(home)), poll_s=POLL_S)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def _healthy(home: Path) -> int | None:
    """Return the port of a healthy engine."""
    try:
        endpoint = json.loads((home / "env.json").read_text())["endpoint"]
        with urllib.request.urlopen(f"{endpoint}/_kaiun/health") as answer:
            return int(endpoint.rpartition(":")[2]) if answer.status == 200 else None
    except (OSError, ValueError, urllib.error.URLError):
        return None


@contextmanager
def _engine() -> Iterator[tuple[int, Keys, int]]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        process = _start(home)
        try:
            port = until("the engine answers", lambda: _healthy(home))
            env = json.loads((home / "env.json").read_text())
            yield port, (env["access_key"], env["secret_key"]), process.pid
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _moto() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until("moto listens", lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmRSS"))


def _fill(port: int, keys: Keys) -> None:
    import boto3

    ecs = boto3.client(
        "ecs",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(
        family="web", containerDefinitions=[{"name": "web", "image": "x", "memory": 64}]
    )
    for number in range(SERVICES):
        ecs.create_service(
            cluster="c", serviceName=_name(number), taskDefinition="web", desiredCount=1
        )


def _name(number: int) -> str:
    return f"service-{number:04d}"


def _rate(port: int, keys: Keys) -> float:
    """Return requests per second of all clients together."""
    requests = [_request(port, keys, first) for first in range(0, SERVICES, 10)]
    with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
        jobs = [(port, requests[n::CLIENTS]) for n in range(CLIENTS)]
        return sum(pool.map(_client, jobs, chunksize=1))


def _request(port: int, keys: Keys, first: int) -> bytes:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps({"cluster": "c", "services": [_name(first + n) for n in range(10)]}).encode()
    request = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:{port}/",
        data=body,
        headers={"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.1"},
    )
    SigV4Auth(Credentials(*keys), "ecs", "us-east-1").add_auth(request)
    headers = {**dict(request.headers.items()), "Host": f"127.0.0.1:{port}"}
    headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body


def _client(job: tuple[int, Sequence[bytes]]) -> float:
    """Send requests for a while; return how many a second were answered."""
    port, requests = job
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < SECONDS:
        _exchange(connection, requests[done % len(requests)])
        done += 1
    connection.close()
    return done / (time.perf_counter() - began)


def _exchange(connection: http.client.HTTPConnection, request: bytes) -> None:
    """Send one request as it is; the connection is kept where the server keeps it."""
    if connection.sock is None:
        connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(request)
    answer = http.client.HTTPResponse(connection.sock, method="POST")
    answer.begin()
    body = answer.read()
    if answer.status != http.client.OK or b'"services"' not in body:
        raise RuntimeError(f"HTTP {answer.status}: {body[:200]!r}")
    if answer.will_close:
        connection.close()
