"""Access logs of load balancers: HAProxy tells of each request, files go to the bucket.

The data plane sends a datagram a request; nothing waits for it, and what was not put into the
bucket when the engine is killed is lost, as ELB too promises its logs on a best-effort basis.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import logging
import secrets
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from kaiun.engine.balancer import requests
from kaiun.engine.store import Doc
from kaiun.engine.wiring import backend_name, listener_name, rules_in_order
from kaiun.engine.world import World

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0  # ELB: five minutes
_TIMEOUT_S: Final = 10.0
_LONGEST: Final = 65536


class AccessLogs:
    """Listens at `path` for HAProxy's datagrams; `locate` says where the side services listen."""

    def __init__(
        self, world: World, path: Path, locate: Callable[[], Awaitable[tuple[str, int]]]
    ) -> None:
        self._world = world
        self._path = path
        self._locate = locate
        self._lines: defaultdict[str, list[str]] = defaultdict(list)  # by load balancer's ARN
        self._socket: socket.socket | None = None
        self._flushing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.setblocking(False)
        heard.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket = heard
        # (uvloop has no datagram endpoints of unix sockets)
        asyncio.get_running_loop().add_reader(heard, self._receive, heard)
        self._flushing = asyncio.create_task(self._flush_often())

    def _receive(self, heard: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.note(heard.recv(_LONGEST))

    async def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
            if self._socket is not None:
                self._receive(self._socket)
            await self.flush()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def note(self, datagram: bytes) -> None:
        """Take what HAProxy told of one request."""
        for line in datagram.decode(errors="replace").splitlines():
            try:
                request = requests.read(line)
            except ValueError as problem:
                log.warning("an access log entry cannot be read: %s", problem)
                continue
            if (found := self._context(request)) is not None:
                arn, context = found
                self._lines[arn].append(requests.entry(request, context, self._world.now()))

    def _context(self, request: requests.Request) -> tuple[str, requests.Context] | None:
        """Return the load balancer of a request and what is behind HAProxy's names."""
        name = request.frontend.rstrip("~").rpartition("-")[2]
        listeners = self._world.listeners.values()
        listener = next((x for x in listeners if listener_name(x) == name), None)
        if listener is None:
            return None
        groups = {backend_name(arn): arn for arn in self._world.target_groups}
        rule = self._rule(listener, request.rule)
        certificates = listener.get("Certificates", [])
        return listener["LoadBalancerArn"], requests.Context(
            balancer=listener["LoadBalancerArn"].partition(":loadbalancer/")[2],
            port=listener["Port"],
            secure=listener["Protocol"] == "HTTPS",
            target_group=groups.get(request.backend, "-"),
            priority=str(rule["Priority"]) if rule else "0",
            action=(rule["Actions"] if rule else listener["DefaultActions"])[-1]["Type"],
            certificate=certificates[0]["CertificateArn"] if certificates else "-",
        )

    def _rule(self, listener: Doc, number: int) -> Doc | None:
        rules = rules_in_order(self._world, listener["ListenerArn"])
        return rules[number - 1] if 0 < number <= len(rules) else None

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Put what has come in into the buckets, a file for each load balancer."""
        lines, self._lines = self._lines, defaultdict(list)
        for arn, own in lines.items():
            balancer = self._world.load_balancers.get(arn)
            if balancer is None:
                continue
            try:
                host, port = await self._locate()
                await asyncio.to_thread(self._put, host, port, balancer, own)
            except (OSError, http.client.HTTPException) as problem:
                log.warning("access logs of %s are lost: %s", balancer["LoadBalancerName"], problem)

    def _put(self, host: str, port: int, balancer: Doc, lines: list[str]) -> None:
        attributes = balancer["_"]["attributes"]
        bucket, key = attributes["access_logs.s3.bucket"], self._key(balancer)
        body = gzip.compress("".join(f"{line}\n" for line in lines).encode())
        own = self._world.identity.routed("s3")
        headers = {"Content-Type": "application/octet-stream", **own}
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("PUT", f"/{bucket}/{quote(key)}", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"S3 answers {answer.status} for bucket {bucket}")
        finally:
            connection.close()

    def _key(self, balancer: Doc) -> str:
        """Return the key of a new file. Source: ELB user guide, "Access log files"."""
        own = self._world.identity
        now = datetime.fromtimestamp(self._world.now(), UTC)
        kind, name, number = balancer["LoadBalancerArn"].partition(":loadbalancer/")[2].split("/")
        folder = f"AWSLogs/{own.account}/elasticloadbalancing/{own.region}/{now:%Y/%m/%d}"
        prefix = balancer["_"]["attributes"]["access_logs.s3.prefix"].strip("/")
        file = (
            f"{own.account}_elasticloadbalancing_{own.region}_{kind}.{name}.{number}_"
            f"{now:%Y%m%dT%H%MZ}_127.0.0.1_{secrets.token_hex(4)}.log.gz"
        )
        return "/".join(part for part in (prefix, folder, file) if part)
